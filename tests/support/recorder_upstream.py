"""An upstream store that only records requests, in place of stores that cannot be installed."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from headgate_server.upstream.probe import PROBE_TENANT_PREFIX


@dataclass
class Heard:
    """A recorded request; *component* names the Recorder that received it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    component: str = ""

    def all(self, name: str) -> list[str]:
        """Returns all values of the header *name* of the request."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def tenant(self) -> str | None:
        """The header X-Scope-OrgID, which names the tenant, or None."""
        values = self.all("X-Scope-OrgID")
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the URL, as pairs of name and value."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


_WAL_REPLAY = "/api/v1/status/walreplay"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Recorder:
    """The recorded requests *heard*, and the function *reply* that returns each response."""

    component: str = ""
    reply: Callable[[Heard], Reply] = lambda heard: (200, {}, b'{"status":"success"}')
    heard: list[Heard] = field(default_factory=list)
    url: str = ""

    @property
    def last(self) -> Heard:
        return self.heard[-1]


@contextmanager
def recorder(component: str = "", **options: Any) -> Iterator[Recorder]:
    """Runs a Recorder until the block ends; *options* are further fields of it."""
    record = Recorder(component, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            body = self._body()
            heard = Heard(self.command, self.path, list(self.headers.items()), body, component)
            # Probes that Headgate sends at its start are not recorded.
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
            """Discards the message."""

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
    """Returns a response with status 200 and *content* as JSON."""
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()
