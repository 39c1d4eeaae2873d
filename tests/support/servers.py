"""The base class of servers in tests: a client, the log, and the secrets in sent requests."""

import http.client
import json
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from support.sent_secrets import shown

ROOT = ("root", "Toor-1")
# Creates the administrator ROOT on a server without users.
CREATE_ROOT = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"

Headers = dict[str, str] | list[tuple[str, str]]


@dataclass
class Answer:
    """A response of a server to a test."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error of the whole response, else of the first failed result, else ""."""
        content = self.json
        if "error" in content:
            return str(content["error"])
        return next((str(r["error"]) for r in content.get("results", ()) if "error" in r), "")

    def rows(self, result: int = 0) -> list[list[Any]]:
        """Returns the rows of the first series of the result with index *result*."""
        rows: list[list[Any]] = self.json["results"][result]["series"][0].get("values", [])
        return rows


@dataclass
class Server:
    """A server on a port of this machine, with a client; subclasses start and stop it."""

    store: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    secrets: set[str] = field(default_factory=set)  # secrets in the requests that it received
    # Path of its log without the suffix; by default the path of the store.
    beside: Path = field(default=Path())

    def __post_init__(self) -> None:
        if self.beside == Path():
            self.beside = self.store

    def start(self) -> Self:
        """Starts the server, and waits until it accepts requests."""
        raise NotImplementedError

    def attempt(self) -> str:
        """Starts the server; returns "", or the logged reason if it does not start."""
        raise NotImplementedError

    def running(self) -> bool:
        raise NotImplementedError

    def stop(self) -> int:
        """Stops the server as SIGTERM does; returns its exit status."""
        raise NotImplementedError

    def reload(self) -> None:
        """Reloads the configuration, as SIGHUP does."""
        raise NotImplementedError

    def end_later(self) -> None:
        """Starts to stop the server; may return before it has stopped."""
        self.stop()

    def responds(self) -> bool:
        """Returns whether the server responds to `/ping`, with or without a login.

        A server that expects TLS closes the connection instead, which counts as a response.
        """
        try:
            return self.request("GET", "/ping").status in (204, 401)
        except http.client.RemoteDisconnected:
            return self.environment.get("HEADGATE_HTTP_HTTPS_ENABLED") == "true"
        except OSError:
            return False

    def log(self) -> str:
        """Returns the text of the log file."""
        return self.beside.with_suffix(".log").read_text()

    def write_secrets(self) -> None:
        """Writes a file beside the log with the secrets that must not occur in it."""
        known = self.secrets | {v for k, v in self.environment.items() if k.endswith("SECRET")}
        path = self.beside.with_suffix(".secrets")
        if path.exists():  # secrets of an earlier server on this store
            known |= set(json.loads(path.read_text()))
        path.write_text(json.dumps(sorted(known)))

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Headers | None = None,
        basic: tuple[str, str] | None = None,
    ) -> Answer:
        """Sends a request over a new connection, with *path* unchanged; returns the response."""
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
        """Sends the statements *text* with POST to `/query`; returns the response."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"q": text} | fields).encode()
        return self.request("POST", "/query", body, headers, basic)

    def bootstrap(self, *statements: str) -> Self:
        """Creates the administrator ROOT, then runs *statements*; asserts that all succeed."""
        for answer in (self.query(CREATE_ROOT, None), *map(self.query, statements)):
            assert answer.status == 200 and not answer.error, answer.body
        return self


def reason_of(lines: list[str]) -> str:
    """Returns the reason in the log *lines* of a server that did not start."""
    reasons = [line for line in map(untimed, lines) if line != "headgate: stopped"]
    assert len(reasons) == 1, lines
    return reasons[0].removeprefix("headgate: ")


def untimed(line: str) -> str:
    """Returns the log line *line* without its leading time."""
    head, _, rest = line.partition(" ")
    return rest if head.startswith("time=") else line
