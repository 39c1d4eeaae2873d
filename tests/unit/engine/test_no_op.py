"""Changes that write nothing are complete without a transaction."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headgate_engine import UNRESTRICTED, Engine, MemoryStore, SqliteStore, StatementError, Store
from headgate_engine.stores.shared.memory_log import MemoryLog, MemoryLogData
from headgate_engine.stores.shared.store import SharedStore, create_store

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


def test_a_change_of_a_closed_store_is_no_no_op(tmp_path: Path) -> None:
    engine = Engine(SqliteStore(tmp_path / "users.db"))
    (statement,) = engine.parse("CREATE DATABASE db")
    job = engine.pending_transaction(statement, UNRESTRICTED, "")
    assert job is not None
    engine.store.close()
    assert not engine.run_as_no_op(job)
