"""The base of the providers in the tests' process: an HTTP server that records and has a script."""

import json
import ssl
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from support.key_server import Said

# The status that closes the connection without a response.
NO_ANSWER = 0


@dataclass(frozen=True)
class Asked:
    """A recorded request. Names of *headers* are in lower case.

    *certificate* is the client's certificate as `SSLSocket.getpeercert` returns it.
    """

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    certificate: Any = field(default=None, repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("latin-1"), keep_blank_values=True))

    @property
    def authorization(self) -> str:
        """The header Authorization, or ""."""
        return self.headers.get("authorization", "")

    @property
    def bearer(self) -> str:
        """The token of the header Authorization, whose scheme is `Bearer` or `token`, or ""."""
        scheme, _, token = self.authorization.partition(" ")
        return token if scheme.lower() in ("bearer", "token") else ""


Answer = Said | Callable[[Asked], Said]


def as_json(content: Any, status: int = 200, **headers: str) -> Said:
    """Returns a response with *content* as JSON; `_` in the names of *headers* stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Said(status, json.dumps(content).encode(), kind | named)


def redirect(url: str) -> Said:
    """Returns a response that redirects to *url* with status 302."""
    return Said(302, b"", {"Location": url})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Reports errors of the provider; failed connections and handshakes are expected."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class ProviderServer:
    """Responds by `respond`, except where a test scripts another answer; is a context manager.

    *asked* has all requests, in the order of their arrival. All methods are thread-safe. The server
    can be stopped and started again on its port.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "localhost") -> None:
        self.asked: list[Asked] = []
        self.lock = threading.RLock()
        self._tls = tls
        self._turns: dict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}
        self._stopping = threading.Event()
        self._server: _Server | None = self._bound(0)
        self.port: int = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://{host}:{self.port}"

    def respond(self, asked: Asked) -> Said:
        """Returns the response of the provider itself."""
        raise NotImplementedError

    def say(self, path: str, *answers: Answer) -> None:
        """Answers the next requests for *path* with *answers*, one each."""
        with self.lock:
            self._turns[path].extend(answers)

    def always_say(self, path: str, answer: Answer) -> None:
        """Answers all requests for *path* with *answer*, until `restore`."""
        with self.lock:
            self._always[path] = answer

    def change(self, path: str, members: Mapping[str, Any], without: tuple[str, ...] = ()) -> None:
        """Changes the JSON object of the next answer for *path*: *members*, and none of *without*.

        The length in its headers is that of the changed answer.
        """

        def changed(asked: Asked) -> Said:
            said = self.respond(asked)
            content = json.loads(said.body) | dict(members)
            kept = {name: value for name, value in content.items() if name not in without}
            return replace(said, body=json.dumps(kept).encode())

        self.say(path, changed)

    def restore(self, path: str) -> None:
        """Removes all scripted answers for *path*."""
        with self.lock:
            self._turns.pop(path, None)
            self._always.pop(path, None)

    def visited(self, url: str, cookies: str = "") -> str:
        """Takes a browser's request for *url* without a connection; returns where it redirects to.

        The request is recorded, and scripted answers apply, without their delays.
        """
        parts = urlsplit(url)
        target = parts._replace(scheme="", netloc="", fragment="").geturl()
        headers = {"host": parts.netloc} | ({"cookie": cookies} if cookies else {})
        said = self._said(Asked("GET", target, headers))
        assert said.status in (302, 303), said
        return said.headers["Location"]

    def requests(self, path: str) -> list[Asked]:
        """Returns the requests for *path* so far."""
        with self.lock:
            return [asked for asked in self.asked if asked.path == path]

    def start(self) -> None:
        """Starts to serve, on the same port as before."""
        if self._server is None:
            self._server = self._bound(self.port)
        self._stopping.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Closes the port: connections are refused. Delayed answers are not sent any more."""
        if self._server is not None:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _bound(self, port: int) -> _Server:
        server = _Server(("127.0.0.1", port), self._handler())
        if self._tls is not None:
            # A handshake in the accepting thread would let one client block the others.
            server.socket = self._tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        return server

    def _said(self, asked: Asked) -> Said:
        with self.lock:
            self.asked.append(asked)
            turns = self._turns[asked.path]
            answer = turns.popleft() if turns else self._always.get(asked.path, self.respond)
        return answer if isinstance(answer, Said) else answer(asked)

    def _handler(self) -> Any:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                line = self.connection
                shown = line.getpeercert() if isinstance(line, ssl.SSLSocket) else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                said = outer._said(Asked(self.command, self.path, headers, body, shown))
                if outer._stopping.wait(said.seconds) or said.status == NO_ANSWER:
                    return
                try:
                    self.send_response(said.status)
                    for name, text in said.headers.items():
                        self.send_header(name, text)
                    if "Content-Length" not in said.headers:
                        self.send_header("Content-Length", str(len(said.body)))
                    self.end_headers()
                    self.wfile.write(said.body)
                except OSError:
                    pass  # the client has closed the connection

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any

            def log_message(self, format: str, *args: Any) -> None:
                """Discards the message."""

        return Handler
