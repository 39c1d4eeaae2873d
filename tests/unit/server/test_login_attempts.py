"""The limit of wrong passwords of a name."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import AuthenticationFailed, Principal
from headgate_server.auth.credentials import Password, RequestCredentials
from headgate_server.auth.errors import TooManyFailures
from headgate_server.auth.login_attempts import LoginAttempts
from headgate_server.auth.login_ways import LoginWays
from headgate_server.auth.password_login import authenticate_password
from headgate_server.auth.throttle import Throttle
from headgate_server.http.errors import Overloaded


async def _try(attempts: LoginAttempts, name: str, *, right: bool, pauses: int = 0) -> str:
    try:
        async with attempts.attempt(name):
            for _ in range(pauses):
                await asyncio.sleep(0)
            if not right:
                raise AuthenticationFailed
    except AuthenticationFailed:
        return "wrong"
    except TooManyFailures:
        return "refused"
    except Overloaded:
        return "overloaded"
    return "right"


def test_attempts_leave_the_window_and_a_right_password_clears_them() -> None:
    now = [0.0]
    attempts = LoginAttempts(2, lambda: now[0])
    steps = (
        (0, "Ann", False, "wrong"),
        (100, "ann", False, "wrong"),
        (299, "ANN", True, "refused"),
        (299, "bob", True, "right"),
        (301, "ann", False, "wrong"),
        (302, "ann", True, "refused"),
        (401, "ann", True, "right"),
        (402, "ann", False, "wrong"),
        (403, "ann", True, "right"),
    )
    for at, name, right, expected in steps:
        now[0] = at
        assert asyncio.run(_try(attempts, name, right=right)) == expected, at


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12),
)
def test_tries_at_the_same_time_are_no_more_than_the_limit(
    most: int, tries: list[tuple[bool, int]]
) -> None:
    attempts = LoginAttempts(most)

    async def run() -> list[str]:
        found: list[str] = []

        async def one(right: bool, pauses: int) -> None:
            found.append(await _try(attempts, "ann", right=right, pauses=pauses))

        await asyncio.gather(*(one(right, pauses) for right, pauses in tries))
        return found

    found = asyncio.run(run())
    assert len(found) == len(tries)
    in_a_row = 0
    for outcome in found:
        assert outcome in ("right", "wrong") if in_a_row < most else outcome == "refused"
        in_a_row = 0 if outcome == "right" else in_a_row + (outcome == "wrong")


def test_a_cancelled_try_counts_nothing_and_lets_the_next_one_in() -> None:
    async def run() -> list[str]:
        attempts = LoginAttempts(1)
        first = asyncio.create_task(_try(attempts, "ann", right=True, pauses=100))
        second = asyncio.create_task(_try(attempts, "ann", right=True, pauses=100))
        third = asyncio.create_task(_try(attempts, "ann", right=True))
        for _ in range(3):
            await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        return [await third]

    assert asyncio.run(run()) == ["right"]


def test_tries_that_wait_are_bounded() -> None:
    async def run() -> list[str]:
        attempts = LoginAttempts(1)
        return await asyncio.gather(
            *(_try(attempts, "ann", right=True, pauses=9) for _ in range(99))
        )

    found = asyncio.run(run())
    assert (found.count("right"), found.count("overloaded")) == (65, 34)


def test_a_client_that_disconnects_does_not_end_its_try() -> None:
    answers = asyncio.Event()

    class SlowPasswords:
        async def authenticate(self, shown: Password, address: str) -> Principal:
            await answers.wait()
            raise AuthenticationFailed

    async def run() -> list[str]:
        ways = LoginWays(attempts=LoginAttempts(1))

        async def login() -> Principal:
            shown, request = Password("ann", "x"), RequestCredentials({}, lambda header: [])
            passwords: Any = SlowPasswords()
            return await authenticate_password(shown, "", request, ways, passwords, Throttle())

        first = asyncio.create_task(login())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        second = asyncio.create_task(_try(ways.attempts, "ann", right=True))
        await asyncio.sleep(0)
        assert not second.done()
        answers.set()
        return [await second]

    assert asyncio.run(run()) == ["refused"]


def test_a_refused_name_is_known_without_a_try() -> None:
    attempts = LoginAttempts(1)
    assert not attempts.is_refused("ann")
    asyncio.run(_try(attempts, "ann", right=False))
    assert attempts.is_refused("ANN") and not attempts.is_refused("bob")
    assert not LoginAttempts(0).is_refused("ann")
