"""The first start on a store: what stays after a failure, and two starts at the same time."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from headgate_engine import SqliteStore, StoreError
from headgate_engine.stores.sqlite.revision_file import revision_file_path

USED = "headgate_engine.stores.sqlite.file.revision_file_path"


def test_a_store_that_cannot_be_used_gets_no_side_file(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    SqliteStore(path).close()
    (tmp_path / "users.db.lock").unlink()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DROP TABLE meta")
    with pytest.raises(StoreError):
        SqliteStore(path)
    assert not (tmp_path / "users.db.lock").exists()
    path.unlink()
    with closing(SqliteStore(path)) as store:
        assert store.created


def test_two_processes_may_make_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.db"
    calls = 0

    def other_is_first(store: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:  # this process has seen neither the store nor its side file
            monkeypatch.setattr(USED, revision_file_path)
            SqliteStore(store).close()
        return revision_file_path(store)

    monkeypatch.setattr(USED, other_is_first)
    with closing(SqliteStore(path)) as store:
        assert not store.created
    assert calls == 2
