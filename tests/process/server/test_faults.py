"""A store that suffers: one clear line, a way out, and nothing acknowledged is lost."""

import os
import shutil
from pathlib import Path

import pytest

from faults import FAULTS, SMALL_DISK, suffer

# What a server says to a change, to a login, when it is started; "" where it is not asked.
SAID = {
    "disk full": ("the disk is full", "let in", "starts"),
    "read-only place": ("", "", "may not write to it or to its folder"),
    "file of another user": ("", "", "may not write to it or to its folder"),
    "corrupt header": ("", "", "it is damaged, or no store at all: put a backup in its place"),
    "corrupt page of users": ("", "", "its file is damaged; `headgate store check` shows details"),
    "corrupt page of databases": ("its file is damaged", "let in", "starts"),
    "write-ahead log cut": ("", "", "21 was acknowledged: its -wal file was cut or removed"),
    "write-ahead log removed": ("", "", "21 was acknowledged: its -wal file was cut or removed"),
    "file of a newer version": ("", "", "a newer Headgate made it, use that one"),
    "file emptied": ("", "", "is an empty file: put a backup in its place"),
    "file removed": ("removed or replaced", "removed or replaced", "says that there was one"),
    "file replaced": ("removed or replaced", "removed or replaced", "starts"),
    "two servers on one file": ("done", "let in", "starts"),
    "clock ten days back": ("done", "let in", "starts"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_one_clear_line_and_loses_nothing(name: str, tmp_path: Path) -> None:
    if FAULTS[name] in SMALL_DISK and os.getuid() != 0:
        pytest.skip("only root can make a small disk")
    if name == "file of another user" and os.getuid() != 0:
        pytest.skip("only root can give a file away")
    if name == "clock ten days back" and shutil.which("faketime") is None:
        assert not os.environ.get("CI"), "faketime is not installed"
        pytest.skip("faketime is not installed")
    outcome = suffer(name, tmp_path)
    for said, expected in zip(
        (outcome.change, outcome.login, outcome.start), SAID[name], strict=True
    ):
        assert (expected in said) if expected else not said, outcome
        assert "\n" not in said
    assert outcome.lost == 0
