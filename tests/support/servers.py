"""A server that tests talk to: the client's side of it, its log, and what it was sent."""

import http.client
import json
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from support.sent_secrets import shown

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
    """A server on a port of this machine. Subclasses start and stop it."""

    store: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    secrets: set[str] = field(default_factory=set)  # all that it was sent
    beside: Path = field(default=Path())  # where its log is; the store's name by default

    def __post_init__(self) -> None:
        if self.beside == Path():
            self.beside = self.store

    def start(self) -> Self:
        """Starts it, and waits until it serves."""
        raise NotImplementedError

    def attempt(self) -> str:
        """Starts it. If it does not serve, returns the one line with the reason; else nothing."""
        raise NotImplementedError

    def running(self) -> bool:
        raise NotImplementedError

    def stop(self) -> int:
        """Ends it as SIGTERM does. Returns its exit status."""
        raise NotImplementedError

    def reload(self) -> None:
        """Has it read its configuration again, as SIGHUP does."""
        raise NotImplementedError

    def end_later(self) -> None:
        """Ends it; it may still be ending when this returns."""
        self.stop()

    def responds(self) -> bool:
        """Returns whether it answers; also if it may have ended meanwhile."""
        try:
            return self.request("GET", "/ping").status in (204, 401)
        except http.client.RemoteDisconnected:
            return self.environment.get("HEADGATE_HTTP_HTTPS_ENABLED") == "true"
        except OSError:
            return False

    def log(self) -> str:
        return self.beside.with_suffix(".log").read_text()

    def write_secrets(self) -> None:
        """Writes beside the log which secrets must not be in it."""
        known = self.secrets | {v for k, v in self.environment.items() if k.endswith("SECRET")}
        self.beside.with_suffix(".secrets").write_text(json.dumps(sorted(known)))

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

    def bootstrap(self, *statements: str) -> Self:
        """Makes the administrator ROOT, then runs *statements*, none of which may fail."""
        first = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
        for answer in (self.query(first, None), *map(self.query, statements)):
            assert answer.status == 200 and not answer.error, answer.body
        return self


def reason_of(lines: list[str]) -> str:
    """The one reason in the log *lines* of a server that did not start."""
    reasons = [line for line in map(untimed, lines) if line != "headgate: stopped"]
    assert len(reasons) == 1, lines
    return reasons[0].removeprefix("headgate: ")


def untimed(line: str) -> str:
    """A log line without its time, which it begins with."""
    head, _, rest = line.partition(" ")
    return rest if head.startswith("time=") else line
