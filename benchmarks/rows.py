"""The rows of the comparison of influxd and Headgate, each with a population of its own."""

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import bcrypt
from contest import (
    AS_ROOT,
    INFLUXD,
    ONE_WORKER,
    SECRET,
    TWO_WORKERS,
    Contest,
    Figures,
    basic,
    interleaved,
    resident_kib,
    responds,
    warm_password_cache,
)
from population import DATABASES, PASSWORD, ROOT, Population
from wrk import WrkOptions, command_line, latency, rate, write_script, wrk

from harness import Server, poll_until
from headgate_server.auth.shared_secret import mint

CONNECTIONS = 32
_GRANTERS = 4
_SHOW = "/query?q=SHOW+GRANTS+FOR+u"


@dataclass(frozen=True)
class Bound:
    """Limits of a contestant's ratio: at least *minimum*, at most *maximum*."""

    contestant: str
    minimum: float = 0.0
    maximum: float = float("inf")


@dataclass
class Row:
    """Measured *figures* in *unit*, and the *ratios* of `Figures.ratio`; both by contestant."""

    number: str
    title: str
    unit: str
    figures: dict[str, list[float]]
    ratios: dict[str, tuple[float, float, float]]
    bounds: list[Bound] = field(default_factory=list)

    @property
    def within_bounds(self) -> bool:
        """Whether all ratios are within their bounds."""
        return all(b.minimum <= self.ratios[b.contestant][0] <= b.maximum for b in self.bounds)


def row(number: str, title: str, unit: str, figures: Figures, *bounds: Bound) -> Row:
    """Returns a row in which each contestant is compared with influxd."""
    ratios = {name: figures.ratio(name) for name in figures.rounds if name != INFLUXD}
    return Row(number, title, unit, figures.rounds, ratios, list(bounds))


class Bench:
    """All rows; measures *rounds* rounds of *seconds* seconds each, with stores in *folder*."""

    def __init__(self, folder: Path, rounds: int, seconds: int) -> None:
        self.folder, self.rounds, self.seconds = folder, rounds, seconds

    @contextmanager
    def contest(self, population: Population, cost: int = 4) -> Iterator[Contest]:
        """Yields a contest in a temporary folder."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            yield Contest(Path(name), population, cost)

    def _rates(
        self,
        server: Server,
        connections: int = CONNECTIONS,
        *,
        refused: bool = False,
        **asked: Unpack[WrkOptions],
    ) -> float:
        return rate(wrk(server.port, self.seconds, connections, refused=refused, **asked))

    # ---- reads

    def small(self) -> list[Row]:
        """Rows 1, 5 and 7: one user."""
        with self.contest(Population(1)) as contest, contest.running() as servers:
            for server in servers.values():
                warm_password_cache(server, [ROOT, "u0"])
            user = f"Authorization: {basic('u0')}"
            select = "/query?db=db0&q=SELECT+*+FROM+db5..m"

            def show(server: Server) -> float:
                return self._rates(server, path=f"{_SHOW}0", header=AS_ROOT)

            def ping(server: Server) -> float:
                return self._rates(server, path="/ping")

            def denied(server: Server) -> float:
                return self._rates(server, refused=True, path=select, header=user)

            shown, pinged, refused = (
                interleaved(servers, each, self.rounds) for each in (show, ping, denied)
            )
        return [
            row(
                "1",
                "SHOW GRANTS, 1 user",
                "/s",
                shown,
                Bound(ONE_WORKER, 0.9),
                Bound(TWO_WORKERS, 1.5),
            ),
            row("5", "/ping", "/s", pinged, Bound(ONE_WORKER, 0.5)),
            row("7", "403: SELECT on another's database", "/s", refused, Bound(ONE_WORKER, 0.8)),
        ]

    def large(self) -> list[Row]:
        """Row 2: SHOW GRANTS of any of 100,000 users, by any of 1,000 administrators."""
        population = Population(100_000, 1000)
        with self.contest(population) as contest, contest.running() as servers:
            logins = [basic(name) for name in population.admins]
            script = write_script(
                contest.folder / "show.lua", logins, [f"{_SHOW}#"], last=population.count - 1
            )
            for server in servers.values():
                warm_password_cache(server, population.admins)

            def show(server: Server) -> float:
                return self._rates(server, script=script)

            figures = interleaved(servers, show, self.rounds)
        return [
            row(
                "2",
                "SHOW GRANTS of any of 100,000 users, by any of 1,000",
                "/s",
                figures,
                Bound(ONE_WORKER, 3),
                Bound(TWO_WORKERS, 5),
            )
        ]

    def tokens(self) -> list[Row]:
        """Row 6: tokens of one user, and of 1,000 users."""
        population = Population(1000, 1000)
        with self.contest(population) as contest, contest.running() as servers:
            until = time.time() + 3600
            bearers = [f"Bearer {mint(name, SECRET, until)}" for name in population.admins]
            script = write_script(contest.folder / "tokens.lua", bearers, [f"{_SHOW}0"])
            one = f"Authorization: {bearers[0]}"

            def with_one(server: Server) -> float:
                return self._rates(server, path=f"{_SHOW}0", header=one)

            def with_many(server: Server) -> float:
                return self._rates(server, script=script)

            single, many = (
                interleaved(servers, each, self.rounds) for each in (with_one, with_many)
            )
        return [
            row("6a", "JWT HS256, one token", "/s", single, Bound(ONE_WORKER, 0.9)),
            row(
                "6b",
                "JWT HS256, 1,000 tokens",
                "/s",
                many,
                Bound(ONE_WORKER, 0.8),
                Bound(TWO_WORKERS, 1.4),
            ),
        ]

    # ---- changes

    def grants(self, count: int, least: float) -> Row:
        """Row 3: GRANT by four clients, with *count* users."""
        with (
            self.contest(Population(count)) as contest,
            contest.running(INFLUXD, ONE_WORKER) as servers,
        ):
            script = write_grant_script(contest, count)
            for server in servers.values():
                warm_password_cache(server, [ROOT])

            def grant(server: Server) -> float:
                return self._rates(server, _GRANTERS, script=script)

            figures = interleaved(servers, grant, self.rounds)
        name = "a" if count == 1 else "b"
        users = "1 user" if count == 1 else f"{count:,} users"
        return row(
            f"3{name}", f"GRANT, {users}, 4 clients", "/s", figures, Bound(ONE_WORKER, least)
        )

    def creation(self) -> Row:
        """Row 4: CREATE USER with 100,000 users, and the rate of bcrypt alone for comparison."""
        count = 100_000
        alone: list[float] = []
        with (
            self.contest(Population(count), cost=10) as contest,
            contest.running(INFLUXD, ONE_WORKER) as servers,
        ):
            numbers = iter(range(count, 100 * count))
            for server in servers.values():
                warm_password_cache(server, [ROOT])

            def create(server: Server) -> float:
                alone.append(bcrypt_rate(self.seconds))
                return creation_rate(server, numbers, self.seconds)

            figures = interleaved(servers, create, self.rounds)
        found = row("4", "CREATE USER at 100,000 users", "/s", figures, Bound(ONE_WORKER, 4))
        limit = statistics.median(alone)
        share = figures.median(ONE_WORKER) / limit
        rounds = [rate / limit for rate in figures.rounds[ONE_WORKER]]
        found.figures["bcrypt alone"] = alone
        found.ratios["of bcrypt alone"] = (share, min(rounds), max(rounds))
        found.bounds.append(Bound("of bcrypt alone", 0.9))
        return found

    # ---- the server itself

    def starts(self) -> Row:
        """Row 8: seconds from the program's start to its first response, by number of users."""
        rounds: dict[str, list[float]] = {}
        for count in (0, 100_000, 1_000_000):
            with self.contest(Population(count)) as contest:
                for name in (INFLUXD, ONE_WORKER) if count < 1_000_000 else (ONE_WORKER,):
                    title = f"{name}, {count:,}"
                    rounds[title] = [start_seconds(contest, name) for _ in range(self.rounds + 1)][
                        1:
                    ]
        empty = statistics.median(rounds[f"{ONE_WORKER}, 0"])
        full = rounds[f"{ONE_WORKER}, 1,000,000"]
        flat = (statistics.median(full) / empty, min(full) / empty, max(full) / empty)
        name = "1,000,000 of 0"
        return Row(
            "8", "start to first answer", "s", rounds, {name: flat}, [Bound(name, maximum=1.2)]
        )

    def memory(self) -> Row:
        """Row 9: memory of a worker under load, in KiB, by number of users."""
        rounds: dict[str, list[float]] = {}
        for count in (1, 100_000, 1_000_000):
            with self.contest(Population(count)) as contest:
                script = write_script(
                    contest.folder / "show.lua", [basic(ROOT)], [f"{_SHOW}#"], last=count - 1
                )
                for name in (INFLUXD, ONE_WORKER) if count < 1_000_000 else (ONE_WORKER,):
                    with contest.running(name) as servers:
                        server = servers[name]
                        warm_password_cache(server, [ROOT])
                        self._rates(server, script=script)
                        self._rates(server, script=script)
                        rounds[f"{name}, {count:,}"] = [resident_kib(server)]
        least = rounds[f"{ONE_WORKER}, 1"][0]
        most = max(rounds[f"{ONE_WORKER}, 100,000"][0], rounds[f"{ONE_WORKER}, 1,000,000"][0])
        flat, less = (
            most / least,
            rounds[f"{ONE_WORKER}, 100,000"][0] / rounds[f"{INFLUXD}, 100,000"][0],
        )
        ratios = {"most of 1": (flat, flat, flat), "of influxd's at 100,000": (less, less, less)}
        bounds = [Bound("most of 1", maximum=1.2), Bound("of influxd's at 100,000", maximum=1)]
        return Row("9", "memory of a worker", "KiB", rounds, ratios, bounds)

    def reads_beside_grants(self) -> Row:
        """Row 10: p99 of reads while GRANTs run as fast as they can."""
        count = 100_000
        with (
            self.contest(Population(count)) as contest,
            contest.running(INFLUXD, ONE_WORKER) as servers,
        ):
            script = write_grant_script(contest, count)
            for server in servers.values():
                warm_password_cache(server, [ROOT])

            def read(server: Server) -> float:
                seconds = self.seconds + 2
                command = command_line(server.port, seconds, _GRANTERS, script=script)
                writing = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                output = wrk(server.port, self.seconds, 16, path=f"{_SHOW}0", header=AS_ROOT)
                written, _ = writing.communicate(timeout=60)
                assert "Non-2xx" not in written, written
                return latency(output, 99)

            figures = interleaved(servers, read, self.rounds)
        title = "p99 of reads beside GRANTs, 100,000 users"
        return row("10", title, "us", figures, Bound(ONE_WORKER, maximum=0.3))


def write_grant_script(contest: Contest, count: int) -> Path:
    """Writes a wrk script that sends GRANTs for random users and databases; returns its path."""
    paths = [
        f"/query?q=GRANT+{privilege}+ON+db{number}+TO+u#"
        for privilege in ("READ", "WRITE", "ALL")
        for number in range(DATABASES)
    ]
    script = contest.folder / "grant.lua"
    return write_script(script, [basic(ROOT)], paths, last=count - 1, method="POST")


def creation_rate(server: Server, numbers: Iterator[int], seconds: int) -> float:
    """Returns users created per second by four concurrent clients."""
    until = time.monotonic() + seconds
    made: list[float] = []
    began = time.monotonic()

    def client() -> None:
        while time.monotonic() < until:
            text = f"CREATE USER n{next(numbers)} WITH PASSWORD '{PASSWORD}'"
            answer = server.query(text, (ROOT, PASSWORD))
            assert answer.status == 200 and "error" not in json.loads(answer.body)["results"][0]
            made.append(time.monotonic())

    run_threads(client, _GRANTERS)
    return len(made) / (max(made) - began)


def bcrypt_rate(seconds: int) -> float:
    """Returns bcrypt hashes of cost 10 per second, with one thread per core."""
    until = time.monotonic() + seconds
    made: list[float] = []
    began = time.monotonic()

    def hashing() -> None:
        while time.monotonic() < until:
            bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10))
            made.append(time.monotonic())

    run_threads(hashing, os.cpu_count() or 1)
    return len(made) / (max(made) - began)


def run_threads(work: Callable[[], None], count: int) -> None:
    """Runs *work* in *count* threads and waits for all."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def start_seconds(contest: Contest, name: str) -> float:
    """Returns the seconds until the server responds; stops it again."""
    began = time.perf_counter()
    with contest.running(name) as servers:
        poll_until(responds(servers[name]), "no answer")
        return time.perf_counter() - began
