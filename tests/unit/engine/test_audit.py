"""The audit of the user store: its records, their retention, and no change without a record."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from headgate_engine import (
    FORWARDED,
    UNRESTRICTED,
    AuditFile,
    DeclaredDatabase,
    DeclaredState,
    DeniedAttempt,
    Engine,
    KeyScope,
    NewUser,
    Passwords,
    Principal,
    SqliteStore,
    Store,
    StoreError,
    StoreUnavailable,
    apply_changes,
    plan_changes,
)
from headgate_grammar import CreateDatabase
from support.old_stores import create_old_store

REFUSED = DeniedAttempt("2026-11-01T00:00:00.000000+00:00", "todd", "::1", "-- login", "no", 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def written(tmp_path: Path, path: Path) -> Iterator[SqliteStore]:
    """Returns a user store with an audit file."""
    store = SqliteStore(tmp_path / "users.db", audit_file=AuditFile(path))
    yield store
    store.close()


def run(store: Store, *statements: str) -> list[str]:
    """Executes *statements* and returns the error of each."""
    engine = Engine(store, Passwords(4))
    return [result.error for text in statements for result in engine.query(text, UNRESTRICTED)]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_refused_stands_between_the_changes_and_makes_no_revision(store: Store) -> None:
    run(store, "CREATE DATABASE a")
    store.record_denied([REFUSED, REFUSED])
    run(store, "CREATE DATABASE b")
    records = store.audit()
    assert [record.id for record in records] == [1, 2, 3, 4]
    assert [record.revision for record in records] == [1, 0, 0, 2]
    assert (records[1].actor, records[1].outcome, records[1].count) == ("todd", "no", 3)
    assert [record.id for record in store.audit(since=2)] == [3, 4]
    assert store.confirmed_revision() == 2


def test_what_is_old_is_dropped_but_for_the_newest(store: Store) -> None:
    store.record_denied([REFUSED] * 3)
    run(store, "CREATE DATABASE a")
    store.prune_audit("2026-11-02")
    assert [record.id for record in store.audit()] == [4]
    store.prune_audit("9999")
    assert [record.id for record in store.audit()] == [4]
    store.record_denied([REFUSED])
    assert [record.id for record in store.audit()] == [4, 5]


@pytest.mark.slow
def test_refusals_never_fill_the_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    run(store, "CREATE DATABASE a")
    for _ in range(11):
        store.record_denied([REFUSED] * 10_000)
    run(store, "CREATE DATABASE b")
    store.prune_audit("")
    ids = [record.id for record in store.audit(limit=200_000)]
    assert ids[0] == 1 and ids[-1] == 110_002  # all changes are kept
    assert len(ids) == 100_002
    store.close()


@pytest.mark.slow
def test_refusals_push_no_change_of_an_upstream_out_of_the_audit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "users.db")
    forwarded = replace(REFUSED, statement="DROP MEASUREMENT m", outcome=FORWARDED, count=1)
    store.record_denied([forwarded])
    store.record_denied([REFUSED] * 60_000)
    store.record_denied([forwarded])
    store.record_denied([REFUSED] * 60_000)
    store.prune_audit("")
    records = store.audit(limit=200_000)
    assert [record.id for record in records if record.outcome == FORWARDED] == [1, 60_002]
    assert len(records) == 100_002
    # Records of forwarded changes are removed by age only, like those of changes.
    store.prune_audit("9999")
    assert [record.id for record in store.audit(limit=200_000)] == [120_002]
    store.close()


def test_the_file_has_a_line_for_each_record(written: SqliteStore, path: Path) -> None:
    run(written, "CREATE DATABASE a", "CREATE USER u WITH PASSWORD 'very secret'")
    written.record_denied([REFUSED])
    assert [line["id"] for line in lines(path)] == [1, 2, 3]
    assert lines(path)[1] == {
        "id": 2,
        "revision": 2,
        "time": written.audit()[1].time,
        "actor": "",
        "address": "",
        "statement": "CREATE USER u WITH PASSWORD [REDACTED]",
        "outcome": "ok",
        "count": 1,
    }
    assert lines(path)[2]["outcome"] == "no" and lines(path)[2]["count"] == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "very secret" not in path.read_text()


def test_the_file_may_be_moved_away_at_any_time(written: SqliteStore, path: Path) -> None:
    run(written, "CREATE DATABASE a")
    path.rename(path.with_suffix(".1"))
    run(written, "CREATE DATABASE b")
    assert [line["id"] for line in lines(path)] == [2]


def test_the_file_gets_what_others_did(written: SqliteStore, path: Path, tmp_path: Path) -> None:
    run(written, "CREATE DATABASE a")
    other = SqliteStore(tmp_path / "users.db")
    run(other, *(f"CREATE DATABASE b{number}" for number in range(3)))
    other.close()
    assert len(lines(path)) == 1
    written.export()
    assert [line["id"] for line in lines(path)] == [1, 2, 3, 4]
    written.export()
    assert len(lines(path)) == 4


def test_a_change_that_the_file_cannot_tell_of_is_not_made(
    written: SqliteStore, path: Path
) -> None:
    run(written, "CREATE DATABASE a")
    path.rename(path.with_suffix(".1"))
    path.mkdir()
    sentence = "store unavailable: the audit file cannot be written: Is a directory"
    assert run(written, "CREATE DATABASE b") == [sentence]
    with pytest.raises(StoreUnavailable):
        written.record_denied([REFUSED])
    assert [database.name for database in written.databases()] == ["a"]
    assert written.confirmed_revision() == 1 and len(written.audit()) == 1
    path.rmdir()
    assert run(written, "CREATE DATABASE b") == [""]
    assert [line["id"] for line in lines(path)] == [2]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_a_file_that_keeps_nothing_is_none(written: SqliteStore, path: Path, make: object) -> None:
    make(path)  # type: ignore[operator]
    (error,) = run(written, "CREATE DATABASE a")
    assert error.startswith("store unavailable: the audit file cannot be written: ")


def test_the_file_says_if_a_change_was_not_made_after_all(written: SqliteStore, path: Path) -> None:
    run(written, "CREATE DATABASE a")
    written._writer.pragma("max_page_count", 1)
    text = "; ".join(f'CREATE DATABASE "{"x" * 250}{number:03}"' for number in range(100))
    errors = run(written, text)
    made = errors.count("")
    assert made < 100
    told = {line["revision"]: line["outcome"] for line in lines(path)}  # the last line per revision
    assert [told[revision] for revision in range(1, made + 2)] == ["ok"] * (made + 1)
    assert set(told.values()) - {"ok"} <= {"store unavailable: the disk is full"}
    assert len(written.audit(limit=2000)) == made + 1


def test_a_disk_that_is_full_leaves_no_half_line(path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    file = AuditFile(path)
    file.append([])
    assert path.read_text() == ""


def test_a_store_of_version_1_is_upgraded_and_kept_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=1)
    store = SqliteStore(path)
    assert (store.created, store.upgraded) == (False, 1)
    assert [record.id for record in store.audit()] == [1, 2, 3, 4]
    assert store.audit()[3].statement == "GRANT READ ON db TO todd"
    todd = store.user("todd")
    assert todd is not None and list(todd.grants) == ["db"]
    assert run(store, "CREATE DATABASE b") == [""] and store.confirmed_revision() == 5
    assert store.check() == []
    store.close()
    old = apsw.Connection(str(tmp_path / "users.db.v1"))
    assert (old.pragma("user_version"), old.execute("SELECT count(*) FROM audit").get) == (1, 4)
    again = SqliteStore(path)
    assert again.upgraded == 0
    again.close()


def test_two_may_upgrade_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=1)
    start = threading.Barrier(6)
    faults: list[str] = []

    def open_it() -> None:
        start.wait(20)
        try:
            SqliteStore(path).close()
        except StoreError as error:
            faults.append(str(error))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    store = SqliteStore(path)
    assert store.check() == [] and len(store.audit()) == 4
    store.close()


def test_an_upgrade_ends_where_a_new_store_begins(tmp_path: Path) -> None:
    upgraded, new = tmp_path / "old.db", tmp_path / "new.db"
    create_old_store(upgraded, version=1)
    SqliteStore(upgraded).close()
    SqliteStore(new).close()
    assert columns(upgraded) == columns(new)


def columns(path: Path) -> object:
    connection = apsw.Connection(str(path))
    return connection.execute(
        "SELECT m.name, i.name, i.type, i.pk FROM sqlite_schema m, pragma_table_info(m.name) i"
        " ORDER BY m.name, i.name"
    ).fetchall()


def test_the_audit_names_the_key_or_the_session_of_a_change(engine: Engine) -> None:
    root = engine.user("root")
    assert root is not None
    by_password = Principal(root, "password")
    scope = KeyScope(admin=True)
    key, text = engine.api_keys.create(by_password, root, 'o"ps', scope)
    session, _ = engine.sessions.begin(root, "password")
    by_key = engine.api_keys.authenticate(text)
    by_session = Principal(root, "session", session=session)
    engine.execute_statement(CreateDatabase("a"), by_key)
    engine.execute_statement(CreateDatabase("b"), by_session)
    plan = plan_changes(engine, DeclaredState([DeclaredDatabase("c")]))
    assert apply_changes(engine, plan, author=by_session)
    engine.accounts.create(by_session, NewUser("todd"))
    texts = [(it.actor, it.statement) for it in engine.store.newest_audit(0, 4)]
    assert texts == [
        ("root", f"CREATE USER todd -- no password -- session {session.id}"),
        ("root", f"CREATE DATABASE c -- session {session.id}"),
        ("root", f"CREATE DATABASE b -- session {session.id}"),
        ("root", f'CREATE DATABASE a -- key {key.id} "o\\"ps"'),
    ]
