"""Order of logins while other clients flood the server with wrong passwords."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    MemoryStore,
    Passwords,
    SqliteStore,
    User,
)
from headgate_server.auth.authenticator import Authenticator
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.throttle import Throttle
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.metrics import Metrics

HERE = "192.0.2.1"


class Watched(Engine):
    """An engine that waits for `go` before each verification, and records their order."""

    def __init__(self, users: int) -> None:
        super().__init__(MemoryStore(), Passwords(cost=4))
        statements = [f"CREATE USER u{i} WITH PASSWORD 'right-{i}'" for i in range(users)]
        first = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
        assert not any(
            one.error for one in self.query("; ".join([first, *statements]), UNRESTRICTED)
        )
        self.go = threading.Event()
        self.order: list[str] = []

    def authenticate(self, name: str, password: str) -> User:
        self.go.wait(20)
        self.order.append(name)
        return super().authenticate(name, password)


def shown(name: str, password: str) -> RequestCredentials:
    return RequestCredentials({"u": name, "p": password}, lambda name: [])


async def _settle() -> None:
    """Runs the event loop until every login waits for bcrypt."""
    for _ in range(10):
        await asyncio.sleep(0)


def _address(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250}"


@pytest.fixture
def watched() -> Iterator[Watched]:
    engine = Watched(12)
    yield engine
    engine.go.set()


@pytest.mark.slow
def test_guesses_at_one_user_are_in_no_other_users_way(watched: Watched) -> None:
    login = Authenticator(watched, Metrics(), throttle=Throttle())

    async def scenario() -> None:
        flood = [
            asyncio.ensure_future(login(shown("u1", f"guess-{i}"), _address(i))) for i in range(500)
        ]
        unknown = [
            asyncio.ensure_future(login(shown(f"x{i}", "x"), _address(1000 + i)))
            for i in range(500)
        ]
        await _settle()
        first = [
            asyncio.ensure_future(login(shown(f"u{i}", f"right-{i}"), HERE)) for i in range(2, 12)
        ]
        await _settle()
        watched.go.set()
        people = await asyncio.gather(*first)
        assert {person.name for person in people} == {f"u{i}" for i in range(2, 12)}
        # All are verified before the third guess at u1 and the third unknown name.
        assert max(watched.order.index(f"u{i}") for i in range(2, 12)) <= 12
        found = await asyncio.gather(*flood, *unknown, return_exceptions=True)
        assert {type(error) for error in found} == {AuthenticationFailed, Overloaded}

    asyncio.run(scenario())
    login.close()


@pytest.mark.slow
def test_networks_that_failed_before_are_in_no_new_networks_way(watched: Watched) -> None:
    login = Authenticator(watched, Metrics(), throttle=Throttle())

    async def scenario() -> None:
        watched.go.set()
        for i in range(30):
            with pytest.raises(AuthenticationFailed):
                await login(shown(f"u{i % 12}", "wrong"), _address(i))
        watched.go.clear()
        watched.order.clear()
        flood = [
            asyncio.ensure_future(login(shown(f"u{i % 12}", f"guess-{i}"), _address(i % 30)))
            for i in range(300)
        ]
        await _settle()
        first = asyncio.ensure_future(login(shown("u3", "right-3"), HERE))
        await _settle()
        watched.go.set()
        assert (await first).name == "u3"
        assert watched.order.index("u3") <= 2
        await asyncio.gather(*flood, return_exceptions=True)

    asyncio.run(scenario())
    login.close()


@pytest.mark.slow
def test_a_client_that_was_let_in_before_does_not_wait_after_a_restart(
    watched: Watched, tmp_path: Path
) -> None:
    """After a restart the password is verified again, in a thread reserved for known clients."""
    before = Authenticator(watched, Metrics(), throttle=Throttle())
    watched.go.set()

    async def come_in() -> None:
        assert (await before(shown("u5", "right-5"), HERE)).name == "u5"

    asyncio.run(come_in())
    before.close()
    watched.go.clear()
    watched.passwords = Passwords(cost=4)  # as in a new process, without a cache
    logins = KnownLogins(watched.store)
    login = Authenticator(watched, Metrics(), throttle=Throttle(), logins=logins)

    async def scenario() -> None:
        logins.start()
        while not logins.is_known_client(_mark(watched, "u5"), HERE):
            await asyncio.sleep(0.01)
        flood = [
            asyncio.ensure_future(login(shown(f"u{i % 12}", f"guess-{i}"), _address(i)))
            for i in range(3000)
        ]
        await _settle()
        again = asyncio.ensure_future(login(shown("u5", "right-5"), HERE))
        await _settle()
        watched.go.set()
        assert (await again).name == "u5"
        assert watched.order.index("u5") <= 2
        await asyncio.gather(*flood, return_exceptions=True)

    asyncio.run(scenario())
    login.close()


def _mark(engine: Engine, name: str) -> str:
    from headgate_engine import password_version

    user = engine.user(name)
    assert user is not None
    return password_version(user)


def test_known_logins_are_kept_over_a_restart_and_shared_by_workers(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    store = SqliteStore(path)
    engine = Engine(store, Passwords(cost=4))
    engine.query("CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", UNRESTRICTED)
    root = engine.user("root")
    assert root is not None

    async def first() -> None:
        logins = KnownLogins(store)
        logins.remember_client(root, HERE)
        logins.remember_client(root, "2001:db8::1")
        logins.close()

    async def second() -> None:
        logins = KnownLogins(store)
        logins.start()
        while not logins.is_known_client(_mark(engine, "root"), HERE):
            await asyncio.sleep(0.01)
        assert logins.is_known_client(_mark(engine, "root"), "2001:db8::ffff")
        assert not logins.is_known_client(_mark(engine, "root"), "192.0.2.2")
        engine.query("SET PASSWORD FOR root = 'Other-1'", UNRESTRICTED)
        assert not logins.is_known_client(_mark(engine, "root"), HERE)
        logins.close()

    asyncio.run(first())
    asyncio.run(asyncio.wait_for(second(), 20))
    store.close()
