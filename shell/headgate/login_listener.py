"""Waits on the loopback address for the code that a browser brings from a server (RFC 8252)."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

_VERIFIER_BYTES = 48
_READ_SECONDS = 5
_PAGE = (
    b"<!doctype html><title>Headgate</title>"
    b"<p>The sign-in has reached the terminal. This page can be closed.</p>"
)


class LoginListener:
    """Listens on a free port of 127.0.0.1; a context manager closes it.

    *challenge* is that of *verifier* (PKCE, RFC 7636), and the state of the request with the code.
    """

    def __init__(self) -> None:
        self.verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        self._server = _Server(self.challenge)

    @property
    def query(self) -> str:
        """The parameters that name this listener in the URL of a sign-in page."""
        return f"terminal={self._server.server_port}&challenge={self.challenge}"

    def wait(self, seconds: float) -> str:
        """Returns the code. Requests without the right state get 404, and waiting goes on.

        Raises ValueError if no code arrives within *seconds*.
        """
        deadline = time.monotonic() + seconds
        while not self._server.code:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ValueError("no sign-in arrived from the browser in time")
            self._server.timeout = left
            self._server.handle_request()
        return self._server.code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()


class _Server(HTTPServer):
    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state
        self.code = ""


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_SECONDS

    def do_GET(self) -> None:
        """Takes the code of the right request."""
        server = self.server
        assert isinstance(server, _Server)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        codes, states = query.get("code", []), query.get("state", [""])
        is_ours = hmac.compare_digest(states[0].encode(), server.state.encode())
        if parts.path != "/" or len(codes) != 1 or len(states) != 1 or not is_ours:
            self.send_error(404)
            return
        server.code = codes[0]
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(_PAGE))),
            ("Content-Security-Policy", "default-src 'none'"),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing: the path has the code."""
