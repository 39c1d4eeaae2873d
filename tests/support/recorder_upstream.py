"""A store that only writes down what it hears, for stores that cannot be had here."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from headgate_server.upstream.health_checks import PROBE_TENANT_PREFIX


@dataclass
class Heard:
    """One request, as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    component: str = ""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def tenant(self) -> str | None:
        values = self.all("X-Scope-OrgID")
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


_WAL_REPLAY = "/api/v1/status/walreplay"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Recorder:
    """Listens on a port of its own; *reply* says what it answers."""

    component: str = ""
    reply: Callable[[Heard], Reply] = lambda heard: (200, {}, b'{"status":"success"}')
    heard: list[Heard] = field(default_factory=list)
    url: str = ""

    @property
    def last(self) -> Heard:
        return self.heard[-1]


@contextmanager
def recorder(component: str = "", **options: Any) -> Iterator[Recorder]:
    """One that runs while the `with` lasts."""
    record = Recorder(component, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self._body()
            heard = Heard(self.command, self.path, list(self.headers.items()), body, component)
            # What Headgate asks at the start, by itself.
            if (
                not (heard.tenant or "").startswith(PROBE_TENANT_PREFIX)
                and heard.path != _WAL_REPLAY
            ):
                record.heard.append(heard)
            status, headers, content = record.reply(heard)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _any

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    record.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield record
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(content: Any) -> Reply:
    """An answer in JSON."""
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()
