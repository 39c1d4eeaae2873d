"""Fixtures for all tests: stores, servers, processes; and the layer of each test as its marker."""

import gc
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import settings

from headgate_engine import UNRESTRICTED, Engine, MemoryStore, Passwords, SqliteStore, Store
from headgate_engine.stores.shared.memory_log import MemoryLog, MemoryLogData
from support import ending
from support.alternating_stores import shared
from support.gateway_fixtures import TWO, configured, upstream
from support.issuer_fixtures import key_file_settings, start_with_jwt
from support.local_server import LocalServer
from support.provider_fixtures import (  # noqa: F401  # fixtures
    openid_package,
    saml_python,
    start_openid,
    start_saml,
)
from support.raw_upstream import raw_upstream
from support.recorder_upstream import recorder
from support.sampling import sample
from support.scripted_upstream import Script
from support.sent_secrets import leaks
from support.server_process import ServerProcess
from support.tenant_fixtures import Parts, seed_flags

if TYPE_CHECKING:
    from support.etcd import Etcd
    from support.postgres import Postgres

Serve = Callable[..., LocalServer]


# How many random examples a test tries; in CI the same ones each time. None has a time limit: the
# machine may be busy.
for name, examples in (("default", 25), ("fast", 10), ("full", 100)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, derandomize="CI" in os.environ
    )
settings.load_profile("default")

TESTS = Path(__file__).parent
LAYERS = ("unit", "http", "process", "real", "end_to_end")


def pytest_configure() -> None:
    """Makes SIGINT end programs, also where a shell runs the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test with its layer: the folder that it is in. Obeys --sample."""
    for item in items:
        layer = item.path.relative_to(TESTS).parts[0]
        assert layer in LAYERS, f"{item.path} is in no layer"
        item.add_marker(layer)
    if most := config.getoption("--sample"):
        chosen = sample(items, most)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = [item for item in items if item in chosen]


def pytest_collection_finish() -> None:
    """Makes garbage collection rare: what the collected tests consist of is permanent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers in this process: `serve(*flags, **environment)`. All end with the test."""
    servers: list[LocalServer] = []

    def start(*flags: str, **environment: str) -> LocalServer:
        store = tmp_path / f"store{len(servers)}.db"
        servers.append(LocalServer(store, flags, environment))
        return servers[-1].start()

    yield start
    ending.end(servers)


@pytest.fixture
def server(serve: Serve) -> LocalServer:
    """A new server, without any users."""
    return serve()


@pytest.fixture
def serve_process(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts processes: `serve_process(*flags, **environment)`. All end with the test.

    With `fresh=True` each has an interpreter of its own, as one that is started by hand.
    """
    servers: list[ServerProcess] = []

    def start(*flags: str, fresh: bool = False, **environment: str) -> ServerProcess:
        store = tmp_path / f"process{len(servers)}.db"
        servers.append(ServerProcess(store, flags, environment, fresh=fresh))
        return servers[-1].start()

    yield start
    for server in servers:
        if server.running():
            server.stop()


@pytest.fixture
def server_process(serve_process: Callable[..., ServerProcess]) -> ServerProcess:
    """A new server as a process, without any users."""
    return serve_process()


STORES = ("memory", "sqlite", "shared", "two shared")


STORE_SERVERS = ("etcd", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """With --etcd, tests of the contract of stores run on etcd and PostgreSQL, too.

    With --sample, at most so many cases of each table run.
    """
    parser.addoption(
        "--etcd", action="store_true", help="run tests of stores on etcd and PostgreSQL, too"
    )
    parser.addoption(
        "--sample", type=int, default=0, metavar="N", help="run at most N cases of each table"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `store` runs on every kind of store."""
    if "store_kind" in metafunc.fixturenames:
        servers = STORE_SERVERS if metafunc.config.getoption("--etcd") else ()
        more = [pytest.param(name, marks=pytest.mark.real) for name in servers]
        metafunc.parametrize("store_kind", [*STORES, *more])


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Etcd"]:
    """An etcd of one member, for all tests of this process."""
    from support.etcd import ETCD, Etcd  # only some tests need grpc

    if ETCD is None and "CI" not in os.environ:
        pytest.skip("etcd-server is not installed")
    flags = ("--max-txn-ops", "10000")
    with Etcd(tmp_path_factory.mktemp("etcd"), 1, *flags) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A PostgreSQL without a standby, for all tests of this process."""
    from support.postgres import POSTGRES, Postgres

    if POSTGRES is None and "CI" not in os.environ:
        pytest.skip("postgresql is not installed")
    with Postgres() as running:
        yield running


@pytest.fixture
def store(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every store keeps the same promises: a test that takes this runs against each."""
    if store_kind == "memory":
        store: Store = MemoryStore()
    elif store_kind == "sqlite":
        store = SqliteStore(tmp_path / "users.db")
    elif store_kind == "etcd":
        from headgate_engine.stores.shared.etcd_log import EtcdLog

        address = request.getfixturevalue("etcd").address()
        store = shared(partial(EtcdLog, address, f"/{secrets.token_hex(8)}/", 9000))
    elif store_kind == "postgresql":
        from headgate_engine.stores.shared.postgres_client import PostgresAddress
        from headgate_engine.stores.shared.postgres_log import PostgresLog

        server = request.getfixturevalue("postgres")
        schema = f"s{secrets.token_hex(8)}"
        server.execute(0, f"CREATE SCHEMA {schema}")
        database = PostgresAddress(server.url(f"?options=-csearch_path%3D{schema}"))
        store = shared(partial(PostgresLog, database, primary_only=True))
    else:
        data = MemoryLogData()
        store = shared(lambda: MemoryLog(data), size=2 if store_kind == "two shared" else 1)
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
def mimir(serve: Serve, parts: Parts) -> LocalServer:
    return serve(*seed_flags(parts, "mimir"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture
def script() -> Script:
    """The answers of the upstream store of *gateway*."""
    return Script()


@pytest.fixture
def gateway(serve: Serve, tmp_path: Path, script: Script) -> Iterator[LocalServer]:
    """A gateway to an InfluxDB that *script* answers, with two users and their databases."""
    with raw_upstream(script) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        script.asked.clear()
        yield server
        server.stop()


@pytest.fixture
def jwt_settings(tmp_path: Path) -> str:
    """Lines of `[auth.jwt]`: one key file, and a user is created for each new `sub`."""
    return key_file_settings(tmp_path)


@pytest.fixture
def serve_with_jwt(serve: Serve, tmp_path: Path) -> Serve:
    """Starts servers that accept tokens of an issuer: `serve_with_jwt(jwt_settings, *flags)`."""
    return partial(start_with_jwt, serve, tmp_path)


@pytest.fixture
def metrics_server(server: LocalServer) -> LocalServer:
    """A server with the database metrics, and the user alice with READ on it."""
    return server.bootstrap(
        "CREATE DATABASE metrics; CREATE USER alice WITH PASSWORD 'wonder'",
        "GRANT READ ON metrics TO alice",
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HEADGATE_HISTFILE", raising=False)
    return tmp_path


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After all tests: no server is left, and no log has a secret that was sent to a server."""
    ending.wait_for_all()
    if hasattr(session.config, "workerinput"):
        return  # the process that started the others does it, once
    factory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    found = leaks(factory.getbasetemp())
    for line in found:
        print(f"\nSECRET IN A LOG: {line}")
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
