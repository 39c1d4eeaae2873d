"""Every store keeps the same promises: tests that take `store` run against each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate_engine import EVERYBODY, Engine, MemoryStore, Passwords, SqliteStore, Store


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "users.db")
    yield store
    store.close()


@pytest.fixture
def engine(store: Store) -> Engine:
    """An engine with the administrator root, password `Toor-1`, and the cheapest bcrypt."""
    engine = Engine(store, Passwords(cost=4))
    for result in engine.query(
        "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", EVERYBODY
    ):
        assert not result.error
    return engine
