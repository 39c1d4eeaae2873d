"""Real servers for the tests of every room, and how to talk to them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from secrets_sent import shown

ROOT = ("root", "Toor-1")

Headers = dict[str, str] | list[tuple[str, str]]


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error of the whole answer, or of its first statement that has one."""
        content = self.json
        if "error" in content:
            return str(content["error"])
        return next((str(r["error"]) for r in content.get("results", ()) if "error" in r), "")

    def rows(self, result: int = 0) -> list[list[Any]]:
        rows: list[list[Any]] = self.json["results"][result]["series"][0].get("values", [])
        return rows


@dataclass
class Server:
    """A `headgate serve` of its own, on a store in its own folder."""

    store: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    secrets: set[str] = field(default_factory=set)  # all that it was sent
    prefix: tuple[str, ...] = ()  # a command that runs it
    beside: Path = field(default=Path())  # where its log is; the store's name by default

    def __post_init__(self) -> None:
        if self.beside == Path():
            self.beside = self.store

    def start(self) -> "Server":
        self.launch()
        poll_until(self.answers, f"server did not start: {self.log()}")
        return self

    def attempt(self) -> str:
        """Starts it. If it does not, the one line in which it says why; else nothing."""
        known = len(self.log()) if self.beside.with_suffix(".log").exists() else 0
        self.launch()
        assert self.process is not None
        poll_until(lambda: self.process_ended() or self.responds(), f"no start: {self.log()}")
        if not self.process_ended():
            return ""
        lines = [untimed(line) for line in self.log()[known:].splitlines()]
        reasons = [line for line in lines if line != "headgate: stopped"]
        assert len(reasons) == 1 and self.process.wait() == 1, self.log()
        return reasons[0].removeprefix("headgate: ")

    def process_ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def launch(self) -> None:
        self.port = self.port or free_port()
        with open(self.beside.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.prefix,
                    *(sys.executable, "-m", "headgate", "serve"),
                    *("--bind", f"127.0.0.1:{self.port}", "--store", str(self.store), *self.flags),
                ],
                # Cheap hashes: it is not bcrypt that is tested.
                env=os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"} | self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=0,  # so that all its processes can be killed at once
            )

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"server ended: {self.log()}"
        return self.responds()

    def responds(self) -> bool:
        """The same of who may have ended meanwhile."""
        try:
            return self.request("GET", "/ping").status in (204, 401)
        except http.client.RemoteDisconnected:
            return self.environment.get("HEADGATE_HTTP_HTTPS_ENABLED") == "true"
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        known = self.secrets | {v for k, v in self.environment.items() if k.endswith("SECRET")}
        self.beside.with_suffix(".secrets").write_text(json.dumps(sorted(known)))
        return status

    def workers(self) -> set[int]:
        """The processes that serve, if it was told to have several; multiprocessing has one more,
        which keeps its things in order.
        """
        assert self.process is not None
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {
            int(child)
            for child in listed
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        }

    def kill(self) -> None:
        """Kills it and its workers, at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        return self.beside.with_suffix(".log").read_text()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Headers | None = None,
        basic: tuple[str, str] | None = None,
    ) -> Answer:
        """One request over a connection of its own, as it is: the path is not looked at."""
        sent = list(headers.items() if isinstance(headers, dict) else headers or ())
        if basic is not None:
            sent.append(("Authorization", "Basic " + b64encode(":".join(basic).encode()).decode()))
        self.secrets |= shown(path, body or b"", sent)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            own = {name.lower() for name, _ in sent}
            connection.putrequest(
                method,
                path.encode().decode("latin-1"),
                skip_host="host" in own,
                skip_accept_encoding=True,
            )
            for name, value in sent:
                connection.putheader(name, value.encode())
            if body is not None and "content-length" not in own:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def query(self, text: str, basic: tuple[str, str] | None = ROOT, **fields: str) -> Answer:
        """POST /query with the statements *text*."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"q": text} | fields).encode()
        return self.request("POST", "/query", body, headers, basic)

    def bootstrap(self, *statements: str) -> "Server":
        """Makes the administrator ROOT, then runs *statements*, none of which may fail."""
        first = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
        for answer in (self.query(first, None), *map(self.query, statements)):
            assert answer.status == 200 and not answer.error, answer.body
        return self


def untimed(line: str) -> str:
    """A log line without its time, which it begins with."""
    head, _, rest = line.partition(" ")
    return rest if head.startswith("time=") else line


def _own_ports() -> Iterator[int]:
    """Over and over those of this process of the tests: no other starts a server on them, and none
    is taken for an outgoing connection meanwhile.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = 10_000 + 4_000 * (int(worker[2:] or 0) % 5 if worker.startswith("gw") else 4)
    # Not always from the beginning: what was there before may hold its port a little longer.
    start = os.getpid() % 4_000
    yield from cycle([first + (start + number) % 4_000 for number in range(4_000)])


_PORTS = _own_ports()


def free_port() -> int:
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("there is no end of ports")


def poll_until(done: Callable[[], bool], reason: str, seconds: float = 20) -> None:
    """Waits until *done* says so, and fails with *reason* if it does not in time."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, reason
        time.sleep(0.02)
