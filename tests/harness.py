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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = ("root", "Toor-1")


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

    def start(self) -> "Server":
        self.port = self.port or free_port()
        with open(self.store.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "headgate", "serve"),
                    *("--bind", f"127.0.0.1:{self.port}", "--store", str(self.store), *self.flags),
                ],
                # Cheap hashes: it is not bcrypt that is tested.
                env=os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"} | self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        poll_until(self.answers, f"server did not start: {self.log()}")
        return self

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"server ended: {self.log()}"
        try:
            return self.request("GET", "/ping").status == 204
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        return self.store.with_suffix(".log").read_text()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> Answer:
        """One request over a connection of its own."""
        sent = dict(headers or {})
        if basic is not None:
            sent["Authorization"] = "Basic " + b64encode(":".join(basic).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def poll_until(done: Callable[[], bool], reason: str, seconds: float = 20) -> None:
    """Waits until *done* says so, and fails with *reason* if it does not in time."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, reason
        time.sleep(0.02)
