"""The file of `[audit] file`: its lines, and symbolic links at its path."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_engine import AuditFile


def dangling(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "not-there")
    return folder / "link"


def foreign(folder: Path) -> Path:
    path = own(folder)
    os.chown(path, 4711, 4711, follow_symlinks=False)
    return path


def own(folder: Path) -> Path:
    (folder / "target").touch()
    (folder / "link").symlink_to("target")
    return folder / "link"


def twice(folder: Path) -> Path:
    own(folder).rename(folder / "second")
    (folder / "link").symlink_to("second")
    return folder / "link"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (dangling, "a symbolic link to a file that does not exist"),
        pytest.param(
            foreign,
            "a symbolic link of another user",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
        ),
        (twice, "a symbolic link to a symbolic link"),
    ],
)
def test_a_link_that_another_user_may_have_set_is_not_followed(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    for use in (AuditFile(path).check, lambda: AuditFile(path).append([])):
        with pytest.raises(OSError, match=reason):
            use()
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_of_ones_own_to_a_file_that_is_there_is_followed(tmp_path: Path) -> None:
    file = AuditFile(own(tmp_path))
    file.check()
    file.append([])


def test_checking_makes_no_file(tmp_path: Path) -> None:
    AuditFile(tmp_path / "audit.log").check()
    assert not list(tmp_path.iterdir())
    AuditFile(tmp_path / "audit.log").append([])
    AuditFile(tmp_path / "audit.log").check()
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600
