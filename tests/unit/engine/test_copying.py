"""Copies of stores between a file and a log: complete, equal, and never served half."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from operator import methodcaller
from pathlib import Path

import apsw
import pytest

from headgate_engine import (
    ApiKey,
    Audit,
    AuditFile,
    DeniedAttempt,
    Engine,
    KeyScope,
    Passwords,
    Profile,
    RetentionPolicy,
    SqliteStore,
    StoreError,
    Tx,
)
from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import UserStatus
from headgate_engine.stores.contents import Contents
from headgate_engine.stores.maintenance import copy_store
from headgate_engine.stores.shared.contents import (
    accept_rollback_of_log,
    check_log,
    read_log,
    write_log,
)
from headgate_engine.stores.shared.log import Entry
from headgate_engine.stores.shared.memory_log import Fault, MemoryLog, MemoryLogData
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_engine.stores.sqlite.contents import make_store_file, read_contents
from headgate_grammar import Privilege

AUDIT = Audit("root", "127.0.0.1", "TEST")
NAMES = ("todd", 'o\'neil "x" \n', "ü" * 40, "a/b", "e\u0301", "x" * 300)


def fill(store: SqliteStore) -> None:
    """Puts something of each kind into *store*, also what was dropped, revoked and used."""
    engine = Engine(store, Passwords(4))
    engine.create_user("root", "Toor-123", admin=True)
    for name in ("d", "gone", "other"):
        store.transact(methodcaller("add_database", name, RetentionPolicy()), AUDIT)

    def change(tx: Tx) -> None:
        for number, name in enumerate(NAMES):
            tx.add_user(name, "$2b$04$" + "." * 53, False)
            user, now = tx.user(name), int(time.time())
            assert user is not None
            for on, privilege in (("d", Privilege.READ), ("gone", Privilege.ALL)):
                database = tx.database(on)
                assert database is not None
                tx.put_grant(user, database, privilege)
            tx.link(user, "https://issuer", f"subject {number}")
            tx.link(user, "https://other", f"subject {number}")
            tx.put_profile(user, Profile(f"{number}@example.org", True, name, now))
            tx.put_status(user, UserStatus(number % 3))
            scope = KeyScope(False, Privilege.READ, {"d": Privilege.WRITE, "gone": Privilege.ALL})
            key = ApiKey(
                *(user.id, name, "key", "hg_x", bytes([number]) * 32, scope, now, name),
                previous=bytes([number + 100]) * 32 if number % 2 else b"",
                imported="7:text" if number == 2 else "",
            )
            id = tx.add_api_key(key)
            if number == 3:
                stored = tx.api_key(id)
                assert stored is not None
                tx.put_api_key(replace(stored, revoked_at=now))
            session = Session(user.id, name, bytes([number + 50]) * 32, now, now, "session")
            session_id = tx.add_session(replace(session, provider="p", sid=f"s{number}"))
            tx.put_session_tokens(session_id, SessionTokens(b"refresh", b"id", 5, 1))

    store.transact(change, AUDIT)
    store.upkeep(lambda tx: tx.use_token(b"t" * 32, 1 << 40))
    engine.drop_user(NAMES[-1])
    store.transact(lambda tx: tx.drop_database(tx.database("gone")), AUDIT)  # type: ignore[arg-type]
    store.record_denied([DeniedAttempt("2026-01-01", "x", "::1", "q", "refused", 3)] * 700)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with closing(SqliteStore(tmp_path / "source.db")) as store:
        fill(store)
    return tmp_path / "source.db"


@pytest.fixture
def contents(source: Path) -> Iterator[Contents]:
    connection = apsw.Connection(str(source))
    yield read_contents(connection)
    connection.close()


def read_file(path: Path, *, audit: bool = True) -> Contents:
    connection = apsw.Connection(str(path))
    try:
        return read_contents(connection, audit=audit)
    finally:
        connection.close()


def test_a_copy_there_and_back_is_equal(contents: Contents, tmp_path: Path) -> None:
    assert {key[:2] for key in contents.records} == {"u/", "d/", "k/", "s/", "x/", "t/"}
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    assert read_log(MemoryLog(data), audit=True, unchanged=True) == contents
    make_store_file(tmp_path / "back.db", contents)
    back = read_file(tmp_path / "back.db")
    assert back == contents
    assert (tmp_path / "back.db").stat().st_mode & 0o777 == 0o600


def test_both_serve_the_same(contents: Contents, source: Path) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    with closing(SqliteStore(source)) as file, closing(SharedStore(MemoryLog(data))) as shared:
        for read in (
            lambda store: store.users_with_grants(),
            lambda store: store.databases(),
            lambda store: store.api_keys(),
            lambda store: store.sessions(),
            lambda store: store.audit(limit=5000),
            lambda store: store.profiles([user.id for user in store.users()]),
            lambda store: [store.identities(user.id) for user in store.users()],
            lambda store: [store.session_tokens(it.id) for it in store.sessions()],
            lambda store: store.identity_dropped_at("https://issuer", f"subject {len(NAMES) - 1}"),
            lambda store: store.imported_api_keys(7),
            lambda store: store.confirmed_revision(),
            lambda store: store.upkeep(lambda tx: tx.use_token(b"t" * 32, 1)),
        ):
            assert read(file) == read(shared)
        assert Engine(shared, Passwords(4)).authenticate("root", "Toor-123").name == "root"


def test_ids_are_given_once(contents: Contents, tmp_path: Path) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    make_store_file(tmp_path / "back.db", contents)
    with (
        closing(SqliteStore(tmp_path / "back.db")) as file,
        closing(SharedStore(MemoryLog(data))) as shared,
    ):
        for store in (file, shared):
            Engine(store, Passwords(4)).create_user("new", "s3cret-1")
            user = store.user("new")
            assert user is not None and int(user.id) == contents.last_id + 1
            assert store.audit(contents.last_audit)[0].id == contents.last_audit + 1


@pytest.mark.parametrize("fault", ["refused", "answer lost"])
@pytest.mark.parametrize("at", range(5))
def test_a_copy_that_was_interrupted_is_not_served_and_begins_again(
    contents: Contents, fault: Fault, at: int
) -> None:
    commits = 0

    def next_fault() -> Fault:
        nonlocal commits
        commits += 1
        return fault if commits == at + 1 else ""

    data = MemoryLogData()
    log = MemoryLog(data, next_fault)
    log.max_writes = 8
    with pytest.raises(StoreError):
        write_log(log, contents)
    with pytest.raises(StoreError, match="copying"):
        SharedStore(MemoryLog(data))
    with pytest.raises(StoreError, match="copying"):
        read_log(MemoryLog(data), audit=True, unchanged=True)
    write_log(MemoryLog(data), contents)
    assert read_log(MemoryLog(data), audit=True, unchanged=True) == contents


def test_a_record_that_is_there_twice_is_copied_once(contents: Contents) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    log = MemoryLog(data)
    loaded = log.load()
    assert loaded.head is not None
    some = tuple(contents.audit[:5])
    log.commit(loaded.position, loaded.head, {}, Entry(10_000, "x", some[-1].id, some))
    assert list(read_log(log, audit=True, unchanged=True).audit) == list(contents.audit)


def test_the_audit_goes_on_after_a_copy_without_it(source: Path, tmp_path: Path) -> None:
    """Ids are not given again, and an audit file receives only what comes later."""
    data = MemoryLogData()
    with closing(SqliteStore(source)) as store:
        last = store.newest_audit(limit=1)[0]
    write_log(MemoryLog(data), read_file(source, audit=False))
    short = read_log(MemoryLog(data), audit=False, unchanged=True)
    assert short.audit == [last]
    make_store_file(tmp_path / "back.db", short)
    file = AuditFile(tmp_path / "audit.log")
    with closing(SqliteStore(tmp_path / "back.db", audit_file=file)) as store:
        Engine(store, Passwords(4)).create_user("new", "s3cret-1")
        assert [record.id for record in store.audit()] == [last.id, last.id + 1]
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert json.loads(line)["id"] == last.id + 1


def test_nothing_is_copied_over_a_store(source: Path, contents: Contents, tmp_path: Path) -> None:
    data = MemoryLogData()
    assert create_store(MemoryLog(data))
    with pytest.raises(StoreError, match="there is a store already"):
        write_log(MemoryLog(data), contents)
    with pytest.raises(StoreError, match="it is there already"):
        copy_store(str(source), str(source))
    with closing(SqliteStore(source)), pytest.raises(StoreError, match="is in use"):
        copy_store(str(source), str(tmp_path / "new.db"))
    with pytest.raises(StoreError, match="there is no store"):
        copy_store(str(tmp_path / "missing.db"), str(tmp_path / "new.db"))
    assert not (tmp_path / "new.db").exists()


def test_a_store_that_went_back_goes_on_with_other_ids(contents: Contents) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    record = contents.audit[0]
    assert accept_rollback_of_log(MemoryLog(data), record) == contents.revision + 1
    with closing(SharedStore(MemoryLog(data))) as store:
        Engine(store, Passwords(4)).create_user("new", "s3cret-1")
        user = store.user("new")
        assert user is not None and int(user.id) == contents.last_id + 1_000_001
        ids = [record.id for record in store.audit(contents.last_audit)]
        assert ids == [contents.last_audit + 1_000_000, contents.last_audit + 1_000_001]


def test_a_check_names_the_records_that_cannot_be_read(contents: Contents) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)
    log = MemoryLog(data)
    assert check_log(log) == []
    loaded = log.load()
    assert loaded.head is not None
    bad = {"u/bad": b"{", "z/foreign": b"{}"}
    log.commit(loaded.position, loaded.head, bad, Entry(10_000, "x", 0))
    assert check_log(log) == [
        "'u/bad': JSONDecodeError",
        "'z/foreign': not one of Headgate's records",
    ]
    with pytest.raises(StoreError, match="a record of the store cannot be read"):
        read_log(log, audit=False, unchanged=True)


def test_a_backup_of_a_served_store_has_one_moment(contents: Contents) -> None:
    data = MemoryLogData()
    write_log(MemoryLog(data), contents)

    class Busy(MemoryLog):
        """A log that is changed between the reads of the data and of the audit."""

        def entries(self, since: int, limit: int):  # type: ignore[no-untyped-def]
            with closing(SharedStore(MemoryLog(data))) as store:
                store.transact(lambda tx: tx.add_user(f"n{since}", "$2b$04$x", False), AUDIT)
            return super().entries(since, limit)

    with pytest.raises(StoreError, match="was changed meanwhile: stop its servers"):
        read_log(Busy(data), audit=True, unchanged=True)
    backup = read_log(Busy(data), audit=True, unchanged=False)
    assert backup.audit[-1].id == backup.last_audit
