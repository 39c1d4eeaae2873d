"""A server of JWK sets with scripted responses: slow, invalid, huge, errors or redirects."""

import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Said:
    """A response that is sent after *seconds* seconds."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class KeyServer:
    """Sends the responses *said* in turn, and then repeats the last; runs as a context manager.

    With *stays*, the server repeats one response until `set` chooses another response. *asked* has
    the headers of each request, with names in lower case.
    """

    def __init__(
        self, said: list[Said], tls: ssl.SSLContext | None = None, *, stays: bool = False
    ) -> None:
        self.said = said
        self.stays = stays
        self.asked: list[dict[str, str]] = []
        self._turn = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls is not None else "http"
        self.url = f"{scheme}://localhost:{self._server.server_port}/keys"

    def set(self, turn: int) -> None:
        """Makes response number *turn* the next one, and clears `asked`."""
        with self._lock:
            self._turn = turn
            self.asked.clear()

    def _next(self, headers: dict[str, str]) -> Said:
        with self._lock:
            self.asked.append(headers)
            said = self.said[min(self._turn, len(self.said) - 1)]
            self._turn += not self.stays
            return said

    def _handler(self) -> Any:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                said = outer._next({name.lower(): text for name, text in self.headers.items()})
                time.sleep(said.seconds)
                try:
                    self.send_response(said.status)
                    for name, text in said.headers.items():
                        self.send_header(name, text)
                    self.send_header("Content-Length", str(len(said.body)))
                    self.end_headers()
                    self.wfile.write(said.body)
                except OSError:
                    pass  # the client has closed the connection

            def log_message(self, format: str, *args: Any) -> None:
                """Discards the message."""

        return Handler

    def __enter__(self) -> "KeyServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
