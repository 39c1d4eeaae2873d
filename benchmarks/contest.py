"""Runs influxd and Headgate side by side, with the same users, databases and grants."""

import os
import shutil
import statistics
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from population import PASSWORD, ROOT, Population

from harness import Server
from support.influxd import Influxd

INFLUXD, ONE_WORKER, TWO_WORKERS = "influxd", "1 worker", "2 workers"
SECRET = "the secret of all tokens, of 32 bytes and more"


def basic(name: str) -> str:
    """Returns the value of a Basic Authorization header for the user *name*."""
    return "Basic " + b64encode(f"{name}:{PASSWORD}".encode()).decode()


AS_ROOT = f"Authorization: {basic(ROOT)}"


@dataclass
class Figures:
    """Measured values of each contestant, one per round."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Returns the median over all rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str) -> tuple[float, float, float]:
        """Returns the ratio to influxd of the medians, then the least and greatest of a round."""
        each = [a / b for a, b in zip(self.rounds[name], self.rounds[INFLUXD], strict=True)]
        return self.median(name) / self.median(INFLUXD), min(each), max(each)


def interleaved(
    servers: Mapping[str, Server], measure: Callable[[Server], float], rounds: int
) -> Figures:
    """Runs *measure* for each of *servers* in turn, *rounds* times.

    Interleaved, because other programs use the machine too.
    """
    figures = Figures({name: [] for name in servers})
    for _ in range(rounds):
        for name, server in servers.items():
            figures.rounds[name].append(measure(server))
    return figures


class Contest:
    """Starts influxd and Headgate on *population*, with their stores in *folder*.

    Headgate hashes passwords with bcrypt cost *cost*; influxd always uses 10.
    """

    def __init__(self, folder: Path, population: Population, cost: int = 4) -> None:
        self.folder, self.population, self._cost = folder, population, cost

    @contextmanager
    def running(self, *names: str) -> Iterator[dict[str, Server]]:
        """Runs the servers *names* until the block ends; yields them by name.

        By default, runs influxd, Headgate with one worker, and Headgate with two workers.
        """
        names = names or (INFLUXD, ONE_WORKER, TWO_WORKERS)
        started: dict[str, Server] = {}
        try:
            for name in names:
                started[name] = self._start(name)
            yield started
        finally:
            for server in started.values():
                if isinstance(server, Influxd):
                    server.__exit__()
                else:
                    server.stop()

    def _start(self, name: str) -> Server:
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        if name == INFLUXD:
            if not (folder / "meta").exists():
                self.population.write_meta(folder / "meta" / "meta.db")
            return Influxd(folder, secret=SECRET).__enter__()
        return self.headgate(folder / "users.db", 2 if name == TWO_WORKERS else 1).start()

    def headgate(self, store: Path, workers: int) -> Server:
        """Returns a Headgate server that is not started yet."""
        if not store.exists():
            self._copy_store(store)
        environment = {
            "HEADGATE_HTTP_LOG_ENABLED": "false",  # influxd's log is disabled as well
            "HEADGATE_HTTP_SHARED_SECRET": SECRET,
            "HEADGATE_AUTH_BCRYPT_COST": str(self._cost),
        }
        return Server(store, ("--workers", str(workers)), environment)

    def _copy_store(self, store: Path) -> None:
        whole = self.folder / "whole.db"
        if not whole.exists():
            self.population.fill(whole)
        for suffix in ("", ".lock"):
            shutil.copy(f"{whole}{suffix}", f"{store}{suffix}")


def warm_password_cache(server: Server, names: Sequence[str]) -> None:
    """Logs in each of *names*, so that later requests use the password cache instead of bcrypt."""
    workers = _workers(server)
    for name in names:
        for _ in range(1 if len(workers) < 2 else 6):  # enough requests to reach each worker
            answer = server.query("SHOW DATABASES", (name, PASSWORD))
            assert answer.status == 200, answer.error


def _workers(server: Server) -> list[int]:
    return children(server.process.pid) if server.process is not None else []


def children(pid: int) -> list[int]:
    """Returns the process IDs of the children of *pid*."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_kib(server: Server) -> float:
    """Returns the resident memory in KiB: of the largest worker, or of the server itself."""
    assert server.process is not None
    pids = [server.process.pid, *children(server.process.pid)]
    return max(_process_resident_kib(pid) for pid in pids)


def _process_resident_kib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def responds(server: Server) -> Callable[[], bool]:
    """Returns a function that returns whether the server responds."""

    def check() -> bool:
        try:
            return server.request("GET", "/query?q=SHOW+GRANTS+FOR+u0").status > 0
        except OSError:
            return False

    return check
