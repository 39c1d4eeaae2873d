"""The SQLite file of users: a damaged, foreign or missing file is an error of one line."""

import fcntl
import gc
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from headgate_engine import (
    Audit,
    Database,
    DeniedAttempt,
    Engine,
    KnownLogin,
    Passwords,
    RetentionPolicy,
    SqliteStore,
    StoreError,
    StoreUnavailable,
    Tx,
    restore,
)
from headgate_engine.model.principal import UNRESTRICTED
from headgate_engine.stores.sqlite import file as store_file
from headgate_engine.stores.sqlite.revision_file import RevisionFile
from support.old_stores import create_old_store


def make(path: Path) -> None:
    SqliteStore(path).close()


def make_foreign(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE notes (text)")
    connection.close()


def make_newer(path: Path) -> None:
    make(path)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def make_damaged(path: Path) -> None:
    make(path)
    content = path.read_bytes()
    path.write_bytes(b"\0" * 200 + content[200:])


def make_vanished(path: Path) -> None:
    make(path)
    path.unlink()


def add_many(tx: Tx, prefix: str) -> None:
    for number in range(500):
        tx.add_user(f"{prefix}{number}", "hash", False)


# Heads of real files: of InfluxDB 1.6.7's meta.db (without users, and with), of its two kinds of
# backup, and of a bbolt file.
META = bytes.fromhex("0800100118a4c2d0d78aa9a0b25d380040004800")
META_WITH_USERS = (
    bytes.fromhex("0800100318a4c2d0d78aa9a0b25d2a240a016412076175746f67656e") + b"x" * 90
)
BACKUP = bytes.fromhex("00000000595901010000000000000082") + META_WITH_USERS
PORTABLE = bytes.fromhex("0a8201") + META_WITH_USERS
BOLT = bytes.fromhex("00000000000000000400000000000000edda0ced0200000000100000") + b"\0" * 90


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (META, "InfluxDB 1.x's user database"),
        (META_WITH_USERS, "InfluxDB 1.x's user database"),
        (BACKUP, "InfluxDB 1.x's user database"),
        (PORTABLE, "InfluxDB 1.x's user database"),
        (BOLT, "a bbolt database"),
    ],
)
def test_a_file_of_another_program_is_named_as_such(
    tmp_path: Path, content: bytes, named: str
) -> None:
    path = tmp_path / "meta.db"
    path.write_bytes(content)
    for open_it in (SqliteStore, lambda path: restore(path, tmp_path / "new.db")):
        with pytest.raises(StoreError, match=f"is {named}.*, not a store of Headgate") as refused:
            open_it(path)
        assert "headgate store" not in str(refused.value) and "\n" not in str(refused.value)
    assert path.read_bytes() == content and not list(tmp_path.glob("new.db*"))


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (make_vanished, "is gone, but users.db.lock says that there was one"),
        (Path.touch, "is an empty file"),
        (lambda path: path.write_text("no database at all, but long enough\n" * 50), "no store"),
        (make_foreign, "not a store of Headgate"),
        (make_newer, "has schema version 99; this Headgate knows up to 7"),
        (make_damaged, "damaged, or no store at all"),
        (Path.mkdir, "cannot open store"),
    ],
)
def test_a_file_that_is_no_good_store_is_refused_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "users.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=reason) as refused:
        SqliteStore(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        SqliteStore(tmp_path / "nowhere" / "users.db")


def test_a_new_store_is_for_its_owner_only_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    assert store.created
    Engine(store, Passwords(4)).query("CREATE DATABASE db", UNRESTRICTED)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    store.close()
    assert {file.name for file in tmp_path.iterdir()} <= {
        *("users.db", "users.db.lock", "users.db-wal", "users.db-shm")
    }
    again = SqliteStore(tmp_path / "users.db")
    assert not again.created
    assert [database.name for database in again.databases()] == ["db"]
    again.close()


def test_two_processes_worth_of_stores_see_each_others_changes_at_once(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path / "users.db"), SqliteStore(tmp_path / "users.db")
    for number in range(50):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer.transact(lambda tx, n=number: tx.add_user(f"u{n}", "hash", False), Audit("", "", ""))  # type: ignore[misc]
        assert reader.user(f"u{number}") is not None
        assert reader.confirmed_revision() == number + 1
    one.close()
    other.close()


def test_old_changes_are_forgotten_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate_engine.stores.sqlite.store._MAX_CHANGES", 5)
    store = SqliteStore(tmp_path / "users.db")
    for number in range(8):
        store.transact(lambda tx, n=number: tx.add_user(f"u{n}", "hash", False), Audit("", "", ""))  # type: ignore[misc]
    assert store.changes(2) is None
    changes = store.changes(3)
    assert changes is not None and [change.revision for change in changes] == [4, 5, 6, 7, 8]
    store.close()


def test_a_store_that_cannot_be_written_says_so_and_goes_on_reading(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    engine = Engine(store, Passwords(4))
    engine.query("CREATE DATABASE db", UNRESTRICTED)
    # As on a full disk: SQLite can add no page.
    store._writer.pragma("max_page_count", 1)
    text = "x" * 200
    many = "; ".join(f'CREATE DATABASE "{text}{number}"' for number in range(200))
    errors = {result.error for result in engine.query(many, UNRESTRICTED)} - {"", "not executed"}
    assert errors == {"store unavailable: cannot write: the disk is full"}
    before = store.confirmed_revision()
    with pytest.raises(StoreUnavailable):
        store.transact(
            lambda tx: add_many(tx, text),
            Audit("", "", ""),
        )
    assert store.confirmed_revision() == before and store.empty()
    store._writer.pragma("max_page_count", 1_000_000)
    assert [result.error for result in engine.query("CREATE DATABASE z", UNRESTRICTED)] == [""]
    store.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot create store|may not write"):
        SqliteStore(tmp_path / "users.db")
    tmp_path.chmod(0o700)


def test_what_a_killed_process_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"users.db.new.{os.getpid()}").write_text("half")
    store = SqliteStore(tmp_path / "users.db")
    assert store.created and store.empty()
    store.close()
    store.close()  # a second close has no effect


@pytest.mark.parametrize("wrong", ["dangling", "long", "lock"])
def test_a_place_that_cannot_hold_a_store_is_refused_in_one_line(
    tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / ("n" * 300 if wrong == "long" else "users.db")
    if wrong == "dangling":
        path.symlink_to(tmp_path / "gone" / "users.db")
    if wrong == "lock":
        SqliteStore(path).close()
        (tmp_path / "users.db.lock").unlink()
        (tmp_path / "users.db.lock").mkdir()
    with pytest.raises(StoreError) as refused:
        SqliteStore(path)
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


def test_threads_that_ended_leave_no_connection_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    for _ in range(20):
        thread = threading.Thread(target=store.empty)
        thread.start()
        thread.join()
    gc.collect()
    assert len(store._open_readers) <= 1
    store.close()


def columns(path: Path) -> dict[str, list[Any]]:
    """Returns the columns of each table in the store *path*, without the position of a column."""
    connection = apsw.Connection(str(path))
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    found = {
        str(name): sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
        for (name,) in tables
    }
    connection.close()
    return found


def test_a_store_of_version_3_is_upgraded_and_kept_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=3)
    store = SqliteStore(path)
    assert (store.created, store.upgraded, store.check()) == (False, 3, [])
    todd = store.user_by_identity("https://idp", "42")
    assert todd is not None and todd.name == "todd" and list(todd.grants) == ["db"]
    store.remember_logins([KnownLogin(todd.id, "192.0.2.0/24", "2 x", 7)])
    assert len(store.known_logins(9)) == 1 and store.confirmed_revision() == 3
    store.transact(lambda tx: tx.drop_user(todd), Audit("", "", "DROP USER todd"))
    assert (
        store.identity_dropped_at("https://idp", "42") is not None and store.known_logins(9) == []
    )
    (database,) = store.databases()
    assert database == Database("1", "db", (RetentionPolicy(),), "autogen")
    store.transact(lambda tx: tx.drop_database(database), Audit("", "", "DROP DATABASE db"))
    assert store.check() == []
    store.close()
    SqliteStore(tmp_path / "new.db").close()
    assert columns(path) == columns(tmp_path / "new.db")
    old = apsw.Connection(str(tmp_path / "users.db.v3"))
    assert old.pragma("user_version") == 3
    assert old.execute("SELECT subject FROM identities").get == "42"
    old.close()
    with closing(SqliteStore(path)) as again:
        assert again.upgraded == 0


def test_a_store_of_an_earlier_version_in_use_is_not_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=3)
    server = RevisionFile(path)
    assert server.lock_shared()
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(store_file, "_UPGRADE_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(StoreError, match="earlier version of Headgate, and in use: stop that"):
            SqliteStore(path)
    assert path.read_bytes() == before
    server.close()
    with ThreadPoolExecutor() as pool:
        stores = [*pool.map(SqliteStore, [path] * 4)]
    assert sorted(store.upgraded for store in stores) == [0, 0, 0, 3]
    for store in stores:
        store.close()


def test_an_upgrade_that_fails_halfway_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=3)
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE known_logins (in_the_way)")
    connection.close()
    with pytest.raises(StoreError):
        SqliteStore(path)
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == 3
    tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'dropped_identities'"
    assert connection.execute(tables).get == 0
    connection.close()


def test_known_logins_outlive_the_process_and_leave_what_readers_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without this cache, readers check for new revisions on each call.
    monkeypatch.setattr("headgate_engine.stores.sqlite.read_cache.MARK_CACHE_SECONDS", 0.0)
    one, other = SqliteStore(tmp_path / "users.db"), SqliteStore(tmp_path / "users.db")
    one.transact(lambda tx: tx.add_user("todd", "hash", False), Audit("", "", "A"))
    todd = other.user("todd")
    assert todd is not None
    for second in range(3):
        one.remember_logins([KnownLogin(todd.id, "192.0.2.0/24", "1 x", second)])
        one.record_denied([DeniedAttempt("2026-11-01", "", "", "login", "refused")])
        assert other.user("todd") is todd
    one.transact(lambda tx: tx.put_user(todd, hash="else", admin=False), Audit("", "", "B"))
    changed = other.user("todd")
    assert changed is not None and changed.hash == "else"
    one.close()
    other.close()
    again = SqliteStore(tmp_path / "users.db")
    assert again.known_logins(9) == [KnownLogin(todd.id, "192.0.2.0/24", "1 x", 2)]
    again.close()


def test_a_store_is_closed_while_other_threads_read(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    reading, ended = threading.Barrier(4), list[str]()

    def read() -> None:
        store.confirmed_revision()
        reading.wait(20)
        try:
            while True:
                store.databases()
                store.users()
        except StoreUnavailable as error:
            ended.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    reading.wait(20)
    store.close()
    for reader in readers:
        reader.join(20)
    assert len(ended) == len(readers)


def test_a_closed_store_opens_no_connection_for_a_new_thread(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    store.close()
    with pytest.raises(StoreUnavailable):
        store.confirmed_revision()
    gc.collect()  # what other tests have left must not end meanwhile
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            store.confirmed_revision()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_closed_store_writes_nothing_and_releases_no_lock_of_another(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    closed = SqliteStore(path)
    closed.close()
    with closing(SqliteStore(path)) as other:

        def change(tx: Tx) -> None:
            # The other store may have the file descriptor that the closed one had.
            with pytest.raises(StoreUnavailable, match="it is closed"):
                closed.prune_audit("2020")
            assert locked(path)
            tx.add_user("todd", "hash", False)

        other.transact(change, Audit("", "", "A"))
        for use in (closed.databases, closed.check, lambda: closed.backup(tmp_path / "copy.db")):
            with pytest.raises(StoreUnavailable, match="it is closed"):
                use()


def locked(path: Path) -> bool:
    """Returns whether another writer would have to wait."""
    with open(f"{path}.lock", "rb") as side:
        try:
            fcntl.flock(side, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
