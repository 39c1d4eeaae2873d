"""Fixtures for every room: stores, and servers on free ports, ended by the test that began them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import Server
from headgate_engine import UNRESTRICTED, Engine, MemoryStore, Passwords, SqliteStore, Store
from recorder_upstream import recorder
from secrets_sent import leaks
from tenant_world import Parts, seed_flags


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers: `serve(*flags, **environment)`. All are ended when the test ends."""
    servers: list[Server] = []

    def start(*flags: str, **environment: str) -> Server:
        store = tmp_path / f"store{len(servers)}.db"
        servers.append(Server(store, flags, environment))
        return servers[-1].start()

    yield start
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.stop()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """A new server, without any users."""
    return serve()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every store keeps the same promises: a test that takes this runs against each."""
    store: Store
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "users.db")
    yield store
    store.close()


@pytest.fixture
def engine(store: Store) -> Engine:
    """An engine with the administrator root, password `Toor-1`, and the cheapest bcrypt."""
    engine = Engine(store, Passwords(cost=4))
    for result in engine.query(
        "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", UNRESTRICTED
    ):
        assert not result.error
    return engine


@pytest.fixture
def parts() -> Iterator[Parts]:
    names = ("distributor", "query-frontend", "querier", "ruler", "alertmanager", "loki")
    with ExitStack() as stack:
        yield {name: stack.enter_context(recorder(name)) for name in names}


@pytest.fixture
def mimir(serve: Callable[..., Server], parts: Parts) -> Server:
    return serve(*seed_flags(parts, "mimir"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After all tests: no secret that was sent to any server is in any server's log."""
    if hasattr(session.config, "workerinput"):
        return  # the process that started the others does it, once
    factory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    found = leaks(factory.getbasetemp())
    for line in found:
        print(f"\nSECRET IN A LOG: {line}")
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
