"""Sends one HTTP request over a connected socket and reads the response. Uses httptools.

http.client would import `email`, which doubles the start-up time of a shell.
"""

import re
import socket
from typing import NamedTuple

import httptools

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_READ_BYTES = 1 << 18


class ProtocolError(Exception):
    """The response is not HTTP, or incomplete. The text contains nothing of the response."""


class HttpResponse(NamedTuple):
    """An HTTP response. Header names are in lower case; the last of repeated headers is kept."""

    status: int
    headers: dict[str, str]
    body: bytes


def send_request(
    connection: socket.socket, method: str, target: str, headers: dict[str, str], body: bytes | None
) -> HttpResponse:
    """Sends the request and reads the whole response.

    For CONNECT, which opens a tunnel through a proxy, reads only the head of the response. Waits as
    long as the timeout of the socket allows. Raises OSError or ProtocolError. Raises ValueError for
    a control character in *target* or a header.
    """
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if any(map(_CONTROLS.search, head)) or " " in target:
        raise ValueError("a control character in a header")
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    text = "\r\n".join([*head, "", ""])
    connection.sendall(text.encode("utf-8", "surrogateescape") + (body or b""))
    return _read_response(connection, head_only=method == "CONNECT")


class _ResponseReader:
    """Callbacks of the httptools parser. Keeps the first response that is not interim (1xx)."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        # InfluxDB repeats an error in a header, including any control characters in it.
        self.parser.set_dangerous_leniencies(lenient_headers=True)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = False

    def on_message_begin(self) -> None:
        """Clears an interim response (1xx), if there was one."""
        if not self.complete:
            self.status, self.headers, self.body = 0, {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Stores a header of the response."""
        if not self.complete:
            self.headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Stores the status of the response."""
        if not self.complete:
            self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Stores a part of the response's body."""
        if not self.complete:
            self.body.append(body)

    def on_message_complete(self) -> None:
        """Marks a final response as complete; an interim one (1xx) precedes another response."""
        self.complete = self.complete or self.status >= 200

    @property
    def head_complete(self) -> bool:
        """Whether the head of a final response was read."""
        return self.status >= 200

    @property
    def ends_at_close(self) -> bool:
        """Whether the body ends with the connection: it has no length and no transfer coding."""
        return (
            self.head_complete and not {"content-length", "transfer-encoding"} & self.headers.keys()
        )


def _read_response(connection: socket.socket, *, head_only: bool) -> HttpResponse:
    reader = _ResponseReader()
    while not (reader.head_complete if head_only else reader.complete):
        chunk = connection.recv(_READ_BYTES)
        if not chunk:
            if reader.ends_at_close:
                break
            raise ProtocolError("the connection was closed before the answer's end")
        try:
            reader.parser.feed_data(chunk)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not reader.complete:  # bytes after the response are ignored
                raise ProtocolError("the peer does not speak HTTP") from None
    return HttpResponse(reader.status, reader.headers, b"".join(reader.body))
