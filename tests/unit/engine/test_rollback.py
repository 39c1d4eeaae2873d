"""A store file older than its last acknowledged change does not open; `restore` is the remedy."""

import os
import shutil
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from headgate_engine import (
    UNRESTRICTED,
    Engine,
    Passwords,
    SqliteStore,
    StoreError,
    StoreUnavailable,
    accept_rollback,
    restore,
)
from headgate_engine.stores.sqlite.file import exclusive_access
from support.waiting import poll_until


def grow(store: SqliteStore, *names: str) -> list[str]:
    engine = Engine(store, Passwords(4))
    return [
        result.error
        for name in names
        for result in engine.query(f"CREATE DATABASE {name}", UNRESTRICTED)
    ]


def names(store: SqliteStore) -> list[str]:
    return [database.name for database in store.databases()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns the path of a store file whose server was killed: the WAL has the last changes."""
    made, path = tmp_path / "made.db", tmp_path / "users.db"
    SqliteStore(made).close()
    store = SqliteStore(made)
    grow(store, "a", "b", "c")
    for suffix in ("", "-wal", ".lock"):
        shutil.copy(f"{made}{suffix}", f"{path}{suffix}")
    store.close()
    return path


@pytest.mark.parametrize("left", [None, 0, 32, 100, 5000, -1], ids=str)
def test_a_log_that_was_cut_or_removed_is_an_error(path: Path, left: int | None) -> None:
    wal = Path(f"{path}-wal")
    if left is None:
        wal.unlink()
    else:
        os.truncate(wal, left % wal.stat().st_size)
    with pytest.raises(StoreError, match="but 3 was acknowledged") as refused:
        SqliteStore(path)
    assert "\n" not in str(refused.value) and "accept-rollback" in str(refused.value)


def test_a_log_that_is_whole_is_taken(path: Path) -> None:
    store = SqliteStore(path)
    assert names(store) == ["a", "b", "c"]
    store.close()


def test_one_may_go_on_with_less(path: Path) -> None:
    Path(f"{path}-wal").unlink()
    assert accept_rollback(path) == 0
    store = SqliteStore(path)
    assert names(store) == []
    assert grow(store, "d") == [""]
    store.close()
    SqliteStore(path).close()


def test_a_store_that_goes_back_under_a_server_takes_no_more_changes(path: Path) -> None:
    store = SqliteStore(path)
    store._revision_file.set_high_water_mark(*store._position())
    epoch, revision = store._position()
    store._revision_file.set_high_water_mark(epoch, revision + 1)
    (error,) = grow(store, "d")
    assert error.startswith("store unavailable: it is behind what was acknowledged")
    assert names(store) == ["a", "b", "c"]
    store.close()


def test_a_backup_is_put_in_place_and_what_was_there_is_kept(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.backup(tmp_path / "backup.db")
    grow(store, "d")
    store.close()
    old = restore(tmp_path / "backup.db", path)
    assert old is not None
    store = SqliteStore(path)
    assert names(store) == ["a", "b", "c"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert grow(store, "e") == [""]
    store.close()
    kept = SqliteStore(old)
    assert names(kept) == ["a", "b", "c", "d"]
    kept.close()


def test_a_backup_replaces_a_store_that_is_damaged_or_gone(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.backup(tmp_path / "backup.db")
    store.close()
    path.write_bytes(b"\0" * 5000)
    assert restore(tmp_path / "backup.db", path) is not None
    path.unlink()
    assert restore(tmp_path / "backup.db", path) is None
    store = SqliteStore(path)
    assert names(store) == ["a", "b", "c"]
    store.close()


def test_a_server_on_the_store_that_was_replaced_answers_no_more(
    path: Path, tmp_path: Path
) -> None:
    store = SqliteStore(path)
    assert store.user("root") is None
    store.backup(tmp_path / "backup.db")
    os.rename(tmp_path / "backup.db", path)  # `restore` refuses this while a server runs

    def refuses() -> bool:
        try:
            store.user("root")
        except StoreUnavailable as error:
            return "removed or replaced" in str(error)
        return False

    poll_until(refuses, "the file that was replaced is still read", 2)
    assert grow(store, "d") == ["store unavailable: its file was removed or replaced"]
    store.close()


@pytest.mark.parametrize("command", ["restore", "accept_rollback"])
def test_a_store_that_is_in_use_is_left_alone(path: Path, tmp_path: Path, command: str) -> None:
    backup = tmp_path / "backup.db"

    def run() -> None:
        restore(backup, path) if command == "restore" else accept_rollback(path)

    one, other = SqliteStore(path), SqliteStore(path)
    one.backup(backup)
    for store, name in ((one, "d"), (other, "e")):
        with pytest.raises(StoreError, match="is in use: stop the server") as refused:
            run()
        assert "\n" not in str(refused.value) and str(path) in str(refused.value)
        assert grow(store, name) == [""]
        store.close()
    assert not list(tmp_path.glob("users.db.*ing")) and not list(tmp_path.glob("*.before-*"))
    run()
    with closing(SqliteStore(path)) as store:
        expected = ["a", "b", "c"] if command == "restore" else ["a", "b", "c", "d", "e"]
        assert names(store) == expected


def test_a_store_that_was_refused_at_its_opening_is_not_in_use(path: Path) -> None:
    Path(f"{path}-wal").unlink()
    with pytest.raises(StoreError, match="was acknowledged"):
        SqliteStore(path)
    assert accept_rollback(path) == 0


def test_a_store_is_opened_as_soon_as_it_is_restored(path: Path) -> None:
    opened: list[SqliteStore] = []
    with exclusive_access(path):
        opening = threading.Thread(target=lambda: opened.append(SqliteStore(path)))
        opening.start()
        assert not opened
    opening.join(20)
    assert names(opened[0]) == ["a", "b", "c"]
    opened[0].close()


def test_a_store_that_stays_held_is_not_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate_engine.stores.sqlite.revision_file._SHARE_TIMEOUT_SECONDS", 0.0)
    with (
        exclusive_access(path),
        pytest.raises(StoreError, match="is held by `headgate store restore`"),
    ):
        SqliteStore(path)
    SqliteStore(path).close()


def test_a_store_is_in_use_by_whichever_name_it_was_opened(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(link)) as store:
        store.backup(tmp_path / "backup.db")
        with pytest.raises(StoreError, match="is in use"):
            restore(tmp_path / "backup.db", path)
        grow(store, "d")
    restore(tmp_path / "backup.db", link)
    assert link.is_symlink()
    with closing(SqliteStore(path)) as store:
        assert names(store) == ["a", "b", "c"]


def test_a_copied_backup_does_too(path: Path, tmp_path: Path) -> None:
    """A backup copied with `cp` starts a new history. The revision in `<store>.lock` is of the old
    history, so the check does not apply.
    """
    store = SqliteStore(path)
    store.backup(tmp_path / "backup.db")
    grow(store, "d")
    store.close()
    shutil.copy(tmp_path / "backup.db", path)
    store = SqliteStore(path)
    assert names(store) == ["a", "b", "c"]
    store.close()


@pytest.mark.parametrize("damage", ["missing", "empty", "foreign", "page"])
def test_a_bad_backup_changes_nothing(path: Path, tmp_path: Path, damage: str) -> None:
    store = SqliteStore(path)
    backup = tmp_path / "backup.db"
    store.backup(backup)
    store.close()
    before = path.read_bytes()
    content = backup.read_bytes()
    match damage:
        case "missing":
            backup.unlink()
        case "empty":
            backup.write_bytes(b"")
        case "foreign":
            backup.write_bytes(b"x" * 5000)
        case _:
            backup.write_bytes(content[:8192] + b"\xff" * 8192 + content[16384:])
    with pytest.raises(StoreError) as refused:
        restore(backup, path)
    assert "\n" not in str(refused.value) and str(backup) in str(refused.value)
    assert "headgate store restore" not in str(refused.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("users.db.*ing*"))
