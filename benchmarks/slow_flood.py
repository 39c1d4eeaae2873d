"""Measures how wrong passwords, 100 per second from 5,000 addresses, affect users.

    PYTHONPATH=tests slow_flood.py [SECONDS]      20 by default, for each phase

Each guess uses a connection of its own from an address of 127.0.0.0/8. Users log in from 127.0.0.1
with right passwords, and retry a second after each refusal, as clients do. Phases:

* guesses for one user; first logins of other users
* guesses for every second user and for names that do not exist; first logins
* the same guesses; logins of users that have logged in before
* the same guesses; logins of users that have logged in before a restart of the server

Exits with 1 if a user cannot log in within 60 s.
"""

import asyncio
import base64
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import Server

GUESSES_PER_SECOND, ADDRESS_COUNT, USER_COUNT = 100, 5_000, 12
LOGIN_TIMEOUT_SECONDS = 60.0
_RETRY_SECONDS = 1.0

Choose = Callable[[int], str]


def addresses(seed: int) -> list[str]:
    """Returns 5,000 addresses of 127.0.0.0/8 without 127.0.0.1."""
    choose = random.Random(seed)
    found: set[str] = set()
    while len(found) < ADDRESS_COUNT:
        found.add(f"127.{choose.randint(1, 254)}.{choose.randint(0, 254)}.{choose.randint(1, 254)}")
    return sorted(found)


async def login(port: int, name: str, password: str, source: str = "127.0.0.1") -> int:
    """Returns the status of one request with this login, or 0 without a response."""
    coded = base64.b64encode(f"{name}:{password}".encode()).decode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    except OSError:
        return 0
    try:
        writer.write(
            f"GET /query?q=SHOW+DATABASES HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {coded}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        line = await asyncio.wait_for(reader.readline(), LOGIN_TIMEOUT_SECONDS)
        return int(line.split()[1]) if line else 0
    except (OSError, TimeoutError):
        return 0
    finally:
        writer.close()


@dataclass
class Flood:
    """Sends guesses; *statuses* counts the statuses of the responses."""

    port: int
    choose: Choose
    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """Sends guesses for *seconds* seconds, GUESSES_PER_SECOND per second."""
        sources, begun = addresses(self.seed), time.monotonic()
        number = 0
        while time.monotonic() < begun + seconds:
            task = asyncio.ensure_future(self._guess(number, sources[number % ADDRESS_COUNT]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / GUESSES_PER_SECOND - time.monotonic()))
        for task in self._tasks:
            task.cancel()

    async def _guess(self, number: int, source: str) -> None:
        self.statuses[await login(self.port, self.choose(number), f"wrong-{number}", source)] += 1


async def log_in_with_retries(port: int, name: str, index: int) -> tuple[float, int]:
    """Returns the seconds until the user is logged in, or infinity, and the number of tries."""
    begun, tries = time.monotonic(), 0
    while time.monotonic() < begun + LOGIN_TIMEOUT_SECONDS:
        tries += 1
        if await login(port, name, f"right-{index}") == 200:
            return time.monotonic() - begun, tries
        await asyncio.sleep(_RETRY_SECONDS)
    return float("inf"), tries


async def run_phase(
    title: str, port: int, choose: Choose, users: Sequence[int], seconds: float, seed: int
) -> bool:
    """Logs *users* in beside a flood and prints the durations; returns whether all succeeded."""
    flood = Flood(port, choose, seed)
    flooding = asyncio.ensure_future(flood.run(seconds + LOGIN_TIMEOUT_SECONDS))
    await asyncio.sleep(seconds / 2)  # until the queues are full
    found = await asyncio.gather(*(log_in_with_retries(port, f"u{i}", i) for i in users))
    flooding.cancel()
    waits = sorted(wait for wait, _ in found)
    logged_in = sum(wait < LOGIN_TIMEOUT_SECONDS for wait in waits)
    print(
        f"{title}: {logged_in} of {len(users)} let in,"
        f" median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s,"
        f" {sum(tries for _, tries in found)} tries; guesses {dict(flood.statuses)}",
        flush=True,
    )
    return logged_in == len(users)


def guessed_name(number: int) -> str:
    """Returns in turn a user with an odd number and a name that does not exist."""
    return f"u{number % USER_COUNT}" if number % 2 else f"nobody-{number}"


def main() -> int:
    """Runs all phases; returns the exit status."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    environment = {"HEADGATE_AUTH_BCRYPT_COST": "10", "HEADGATE_HTTP_LOG_ENABLED": "false"}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db", environment=environment).start()
        users = range(2, USER_COUNT)
        create = "; ".join(f"CREATE USER u{i} WITH PASSWORD 'right-{i}'" for i in range(USER_COUNT))
        try:
            server.bootstrap(create)
            good = asyncio.run(
                run_phase(
                    "one user guessed at, first logins",
                    server.port,
                    lambda _: "u1",
                    users[:5],
                    seconds,
                    1,
                )
            )
            good &= asyncio.run(
                run_phase(
                    "all users guessed at, first logins",
                    server.port,
                    guessed_name,
                    users[5:],
                    seconds,
                    2,
                )
            )
            good &= asyncio.run(
                run_phase(
                    "all users guessed at, let in before",
                    server.port,
                    guessed_name,
                    users,
                    seconds,
                    3,
                )
            )
            server.stop()
            server.start()
            good &= asyncio.run(
                run_phase(
                    "after a restart, let in before", server.port, guessed_name, users, seconds, 4
                )
            )
        finally:
            server.stop()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
