"""One HTTP request over a connected socket, and its answer. Knows httptools.

http.client would load the whole of `email` with it: twice the start of a shell.
"""

import re
import socket
from typing import NamedTuple

import httptools

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_PIECE = 1 << 18


class NotHttp(Exception):
    """What came is no HTTP, or not all of it. The text is the reason, and nothing of the answer."""


class Answer(NamedTuple):
    """Names of *headers* are in lower case; of several with one name the last is there."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(
    connection: socket.socket, method: str, target: str, headers: dict[str, str], body: bytes | None
) -> Answer:
    """Sends the request and reads the answer to its end, for CONNECT only to its head's.

    Raises OSError, NotHttp, and ValueError if there is a control character in *target* or a header.
    """
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if any(map(_CONTROLS.search, head)) or " " in target:
        raise ValueError("a control character in a header")
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    text = "\r\n".join([*head, "", ""])
    connection.sendall(text.encode("utf-8", "surrogateescape") + (body or b""))
    return _answer(connection, only_head=method == "CONNECT")


class _Reading:
    """What httptools calls while it reads: the first final answer counts, and no other."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        # InfluxDB repeats an error, with whatever control characters are in it, in a header.
        self.parser.set_dangerous_leniencies(lenient_headers=True)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = False

    def on_message_begin(self) -> None:
        if not self.complete:
            self.status, self.headers, self.body = 0, {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body.append(body)

    def on_message_complete(self) -> None:
        # 100 Continue and its like only say that there will be one.
        self.complete = self.complete or self.status >= 200

    @property
    def begun(self) -> bool:
        """Whether the head of a final answer is there."""
        return self.status >= 200

    @property
    def goes_on_until_closed(self) -> bool:
        return self.begun and not {"content-length", "transfer-encoding"} & self.headers.keys()


def _answer(connection: socket.socket, *, only_head: bool) -> Answer:
    reading = _Reading()
    while not (reading.begun if only_head else reading.complete):
        piece = connection.recv(_PIECE)
        if not piece:
            if reading.goes_on_until_closed:
                break
            raise NotHttp("the connection was closed before the answer's end")
        try:
            reading.parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not reading.complete:  # what comes behind the answer is nobody's
                raise NotHttp("what answers does not speak HTTP") from None
    return Answer(reading.status, reading.headers, b"".join(reading.body))
