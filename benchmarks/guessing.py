"""Measures how wrong passwords at 167 per second affect users with a cached login.

    PYTHONPATH=tests guessing.py [SECONDS]      60 by default, in rounds of 10

Needs Debian's wrk. 4 connections guess, from the same address, for an existing user and for names
that do not exist. 16 connections send requests with a cached password. Rounds with and without
guessing alternate. Exits with 1 if a right password was refused, or if memory grew by more than a
tenth after the first round.
"""

import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from harness import Server

ROUND_SECONDS = 10
GUESSERS, GUESSES_A_SECOND = 4, 10_000 / 60
LOGIN = b64encode(b"todd:s3cret").decode()
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass
class CachedLoginFigures:
    """Measurements of the 16 connections, one value per round of one kind."""

    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)  # milliseconds
    refused: int = 0

    def round(self, port: int) -> None:
        """Runs wrk for one round and adds its figures."""
        done = subprocess.run(
            [
                *("wrk", "-t1", "-c16", f"-d{ROUND_SECONDS}s", "--latency", "--timeout", "10s"),
                *("-H", f"Authorization: Basic {LOGIN}"),
                f"http://127.0.0.1:{port}/query?q=SHOW+DATABASES",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        self.rates.append(float(_found(r"Requests/sec:\s+([0-9.]+)", done.stdout)[1]))
        late = _found(r"99%\s+([0-9.]+)(us|ms|s)", done.stdout)
        self.p99.append(float(late[1]) * _UNITS[late[2]])
        wrong = re.search(r"Non-2xx or 3xx responses: ([0-9]+)", done.stdout)
        self.refused += int(wrong[1]) if wrong is not None else 0

    def line(self, name: str) -> str:
        """Returns the medians as a line of text."""
        rate, late = statistics.median(self.rates), statistics.median(self.p99)
        return (
            f"{name:18} {rate:7.0f}/s   p99 {late:6.2f} ms"
            f" ({min(self.p99):.2f} to {max(self.p99):.2f})   {self.refused} refused"
        )


class Guesser(threading.Thread):
    """Sends wrong passwords over one connection until the event *stop* is set."""

    def __init__(self, port: int, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.answers: Counter[int] = Counter()
        self._port = port
        self._number = number
        self._halt = stop

    def run(self) -> None:
        """Sends guesses at a fixed rate, and counts the statuses of the responses."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        pause = GUESSERS / GUESSES_A_SECOND
        following = time.monotonic()
        count = 0
        while not self._halt.is_set():
            name = "todd" if count % 2 else f"nobody{self._number}-{count}"
            shown = b64encode(f"{name}:guess{count}".encode()).decode()
            connection.request(
                "GET", "/query?q=SHOW+DATABASES", headers={"Authorization": f"Basic {shown}"}
            )
            answer = connection.getresponse()
            answer.read()
            self.answers[answer.status] += 1
            count += 1
            following += pause
            self._halt.wait(max(0.0, following - time.monotonic()))
        connection.close()


def run_beside_guessing(port: int, good: CachedLoginFigures) -> Counter[int]:
    """Runs a round beside guessing; returns the statuses of the responses to the guesses."""
    stop = threading.Event()
    guessers = [Guesser(port, number, stop) for number in range(GUESSERS)]
    for guesser in guessers:
        guesser.start()
    good.round(port)
    stop.set()
    for guesser in guessers:
        guesser.join()
    return sum((guesser.answers for guesser in guessers), Counter[int]())


def _found(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    assert found is not None, text
    return found


def resident_kib(pid: int) -> int:
    """Returns the resident memory in KiB."""
    return int(_found(r"VmRSS:\s+([0-9]+)", Path(f"/proc/{pid}/status").read_text())[1])


def measure(server: Server, seconds: int) -> bool:
    """Runs all rounds and prints the figures; returns whether all bounds hold."""
    assert server.process is not None
    without, beside = CachedLoginFigures(), CachedLoginFigures()
    answers: Counter[int] = Counter()
    first = 0
    for _ in range(max(1, seconds // ROUND_SECONDS)):
        without.round(server.port)
        answers += run_beside_guessing(server.port, beside)
        first = first or resident_kib(server.process.pid)
    last = resident_kib(server.process.pid)
    ratio = statistics.median(beside.p99) / statistics.median(without.p99)
    print(f"{sum(answers.values())} guesses: {dict(sorted(answers.items()))}")
    print(without.line("without guessing"))
    print(beside.line("beside guessing"), f"  p99 {ratio:.2f} of without")
    print(f"memory after a round {first} KiB, at the end {last} KiB")
    return not without.refused and not beside.refused and last <= 1.1 * first


def main() -> int:
    """Runs the benchmark; returns the exit status."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    environment = {"HEADGATE_AUTH_BCRYPT_COST": "10", "HEADGATE_HTTP_LOG_ENABLED": "false"}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db", environment=environment).start()
        try:
            server.bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'")
            assert server.query("SHOW DATABASES", ("todd", "s3cret")).status == 200
            good = measure(server, seconds)
        finally:
            server.stop()
    print("OK" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
