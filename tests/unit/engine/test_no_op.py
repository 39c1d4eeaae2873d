"""Changes that write nothing are complete without a transaction."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headgate_engine import UNRESTRICTED, Engine, MemoryStore, SqliteStore, StatementError, Store
from headgate_engine.stores.shared.memory_log import MemoryLog, MemoryLogData
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_engine.stores.sqlite.revision_file import RevisionFile
from support.waiting import poll_until

SETUP = """
    CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES;
    CREATE USER ann WITH PASSWORD 'Ann-1'; CREATE DATABASE db; GRANT READ ON db TO ann;
    CREATE RETENTION POLICY p ON db DURATION 1d REPLICATION 1
"""
NO_OPS = [
    "CREATE DATABASE db",
    "CREATE DATABASE db WITH NAME autogen",
    "DROP DATABASE nowhere",
    "CREATE RETENTION POLICY p ON db DURATION 1d REPLICATION 1",
    # Errors: the store stays as it is.
    "CREATE DATABASE db WITH DURATION 3d",
    "CREATE RETENTION POLICY p ON db DURATION 2d REPLICATION 1",
    "CREATE RETENTION POLICY p ON nowhere DURATION 1d REPLICATION 1",
    "DROP RETENTION POLICY p ON nowhere",
    "DROP USER nobody",
    "GRANT READ ON nowhere TO ann",
    "GRANT READ ON db TO nobody",
    "REVOKE READ ON db FROM nobody",
    "GRANT ALL PRIVILEGES TO nobody",
]
WRITES = [
    "CREATE DATABASE new",
    "DROP DATABASE db",
    "CREATE RETENTION POLICY q ON db DURATION 1d REPLICATION 1",
    "DROP RETENTION POLICY p ON db",
    "ALTER RETENTION POLICY p ON db DURATION 2d",
    "GRANT WRITE ON db TO ann",
    "GRANT READ ON db TO ann",  # again: it has an audit record
    "REVOKE READ ON db FROM ann",
    "GRANT ALL PRIVILEGES TO ann",
    "REVOKE ALL PRIVILEGES FROM ann",
    "DROP USER ann",
    "DROP USER root",  # the only administrator, which a transaction alone finds out
]


@pytest.fixture(params=["memory", "sqlite", "shared"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    match request.param:
        case "memory":
            yield MemoryStore()
        case "sqlite":
            with closing(SqliteStore(tmp_path / "users.db")) as store:
                yield store
        case _:
            data = MemoryLogData()
            assert create_store(MemoryLog(data))
            with closing(SharedStore(MemoryLog(data))) as store:
                yield store


@pytest.mark.parametrize("text", NO_OPS + WRITES)
def test_a_change_that_writes_nothing_ends_as_a_transaction_would(store: Store, text: str) -> None:
    engine = Engine(store)
    assert not any(result.error for result in engine.query(SETUP, UNRESTRICTED))
    revision, audit = store.confirmed_revision(), store.newest_audit()
    (statement,) = engine.parse(text)
    job = engine.pending_transaction(statement, UNRESTRICTED, "")
    assert job is not None
    error = ""
    try:
        done = engine.run_as_no_op(job)
    except StatementError as raised:
        done, error = True, str(raised)
    # Reads of a shared store may be older than a change on another machine.
    assert done is (text in NO_OPS and store.condition() is None)
    assert (store.confirmed_revision(), store.newest_audit()) == (revision, audit)
    if done:
        store.transact_all([job])
        assert str(job.error or "") == error
        assert (store.confirmed_revision(), store.newest_audit()) == (revision, audit)
    (result,) = engine.query(text, UNRESTRICTED)
    assert result.error == error or text == "DROP USER root" or not done


def is_no_op(engine: Engine, text: str) -> bool:
    """Returns whether the statement *text* is complete without a transaction, or fails so."""
    (statement,) = engine.parse(text)
    job = engine.pending_transaction(statement, UNRESTRICTED, "")
    assert job is not None
    try:
        return engine.run_as_no_op(job)
    except StatementError:
        return True


@pytest.mark.parametrize("text", ["DROP DATABASE db", "GRANT READ ON db TO root"])
def test_a_change_that_only_an_unacknowledged_commit_makes_empty_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Other processes may read the state before that commit for 50 ms."""
    with closing(SqliteStore(tmp_path / "users.db")) as one:
        with closing(SqliteStore(tmp_path / "users.db")) as other:
            writer, reader = Engine(one), Engine(other)
            assert not any(result.error for result in writer.query(SETUP, UNRESTRICTED))
            assert not is_no_op(reader, text)
            with monkeypatch.context() as patch:
                patch.setattr(RevisionFile, "set_high_water_mark", lambda *_: None)
                writer.query("DROP DATABASE db", UNRESTRICTED)
                poll_until(lambda: other.database("db") is None, "the commit stays unseen")
                assert not is_no_op(reader, text)
            reader.query("DROP DATABASE db", UNRESTRICTED)  # the transaction writes the mark
            assert is_no_op(reader, text)


def closed(store: SqliteStore, path: Path) -> None:
    store.close()


def removed(store: SqliteStore, path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("end", [closed, removed])
def test_no_change_of_a_store_that_is_gone_is_complete(
    tmp_path: Path, end: Callable[[SqliteStore, Path], None]
) -> None:
    path = tmp_path / "users.db"
    store = SqliteStore(path)
    engine = Engine(store)
    assert not any(result.error for result in engine.query(SETUP, UNRESTRICTED))
    assert is_no_op(engine, "CREATE DATABASE db") and is_no_op(engine, "DROP USER nobody")
    end(store, path)
    assert not is_no_op(engine, "CREATE DATABASE db") and not is_no_op(engine, "DROP USER nobody")
    store.close()
