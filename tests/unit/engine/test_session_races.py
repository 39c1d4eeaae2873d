"""Sessions and keys on one store that several workers have open, at the same moment."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headgate_engine import (
    UNRESTRICTED,
    Engine,
    KeyExists,
    KeyScope,
    Passwords,
    SessionRejected,
    SqliteStore,
)

# The command for more rounds: HEADGATE_ROUNDS=200 pytest FILE
ROUNDS = int(os.environ.get("HEADGATE_ROUNDS", "20"))
WORKERS, REQUESTS = 2, 10


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engines(tmp_path: Path, clock: Clock) -> object:
    stores = [SqliteStore(tmp_path / "users.db") for _ in range(WORKERS)]
    made = [Engine(store, Passwords(4), clock=clock) for store in stores]
    made[0].create_user("todd", "s3cret")
    yield made
    for store in stores:
        store.close()


@pytest.mark.slow
def test_of_simultaneous_requests_one_gets_the_new_token(
    engines: list[Engine], clock: Clock
) -> None:
    user = engines[0].user("todd")
    assert user is not None
    token = engines[0].sessions.begin(user, "password")[1]
    with ThreadPoolExecutor(WORKERS * REQUESTS) as pool:
        for _ in range(ROUNDS):
            clock.now += 601
            barrier = threading.Barrier(WORKERS * REQUESTS)

            def request(
                number: int, token: str = token, barrier: threading.Barrier = barrier
            ) -> str:
                sessions = engines[number % WORKERS].sessions
                barrier.wait()
                shown = sessions.authenticate(token)
                if shown.rotates:
                    return sessions.rotate(shown, address="::1", agent="")
                return ""

            new = [one for one in pool.map(request, range(WORKERS * REQUESTS)) if one]
            assert len(new) == 1
            (token,) = new
            for engine in engines:
                engine.sessions.authenticate(token)


def test_of_simultaneous_keys_with_one_name_one_is_made(engines: list[Engine]) -> None:
    user = engines[0].user("todd")
    assert user is not None

    def make(number: int) -> bool:
        api_keys = engines[number % WORKERS].api_keys
        try:
            api_keys.create(UNRESTRICTED, user, "eu", KeyScope())
        except KeyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(16))) == 1


@pytest.mark.slow
def test_a_session_that_is_revoked_while_it_rotates_is_revoked(
    engines: list[Engine], clock: Clock
) -> None:
    user = engines[0].user("todd")
    assert user is not None
    for _ in range(ROUNDS):
        session, token = engines[0].sessions.begin(user, "password")
        clock.now += 601
        shown = engines[0].sessions.authenticate(token)
        with ThreadPoolExecutor(2) as pool:
            rotating = pool.submit(engines[0].sessions.rotate, shown, address="", agent="")
            pool.submit(
                engines[1].sessions.revoke, UNRESTRICTED, user, session.id, "admin"
            ).result()
        for one in filter(None, (token, rotating.result())):
            for engine in engines:
                with pytest.raises(SessionRejected, match="revoked"):
                    engine.sessions.authenticate(one)
