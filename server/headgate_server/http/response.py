"""HTTP responses: as ASGI applications, and encoded as the bytes of HTTP/1.1."""

import re
from collections.abc import AsyncIterable, Mapping
from http import HTTPStatus
from typing import Protocol

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]
# An ASGI extension: the application may send one message of this type, with the whole response
# encoded as HTTP/1.1 in `content`, in place of `http.response.start` and `http.response.body`.
# `keep_alive` is False if the response has the field `Connection: close`.
ENCODED_RESPONSE = "headgate.response.encoded"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
# RFC 9110, section 5.5: such a character in a value could split the response in two.
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ASGIResponse(Protocol):
    """A response that sends itself when it is called.

    Header fields may be added to *raw_headers* before the call; their names are in lower case.
    """

    status_code: int
    raw_headers: RawHeaders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        ...


class Response:
    """A response with its whole body. Implements `ASGIResponse`.

    It has a field Content-Length, unless *without_length* is True.
    """

    __slots__ = ("_head", "without_length", "body", "raw_headers", "status_code")

    def __init__(
        self,
        body: bytes = b"",
        status_code: int = 200,
        raw_headers: RawHeaders | None = None,
        *,
        without_length: bool = False,
    ) -> None:
        self.body, self.status_code, self.without_length = body, status_code, without_length
        self.raw_headers: RawHeaders = raw_headers if raw_headers is not None else []
        self._head = b""

    def all_headers(self) -> RawHeaders:
        """Returns all header fields.

        Content-Length is among them, except for 204, 304 and *without_length*.
        """
        if self.without_length or self.status_code in (204, 304):
            return self.raw_headers
        return [*self.raw_headers, (b"content-length", b"%d" % len(self.body))]

    def encode_head(self) -> bytes:
        """Returns the status line and the header fields, encoded as HTTP/1.1.

        The result is cached: fields that are added after the first call are not sent. Raises
        ValueError for a control character in a value.
        """
        if not self._head:
            self._head = status_line(self.status_code) + encode_headers(self.all_headers())
        return self._head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        # ASGI rejects a WebSocket with messages of another name.
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        start = {"status": self.status_code, "headers": self.all_headers()}
        await send({"type": f"{kind}.response.start", **start})
        await send({"type": f"{kind}.response.body", "body": self.body})


def status_line(status: int) -> bytes:
    """Returns the status line of HTTP/1.1, with the line end. Unknown statuses have no phrase."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def to_raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Returns *headers* as pairs of bytes, with names in lower case. The text must be Latin-1."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]


def content_headers(media_type: str, *, gzip: bool = False) -> RawHeaders:
    """Returns the field Content-Type, and if *gzip* is set the field Content-Encoding."""
    packed = [(b"content-encoding", b"gzip")] if gzip else []
    return [(b"content-type", media_type.encode("latin-1")), *packed]


def streaming_response(pieces: AsyncIterable[bytes], raw_headers: RawHeaders) -> ASGIResponse:
    """Returns a response that sends *pieces* as they arrive."""
    response = StreamingResponse(pieces)
    response.raw_headers = raw_headers
    return response


def encode_headers(headers: RawHeaders) -> bytes:
    """Returns *headers* as lines of HTTP/1.1.

    Raises ValueError for a control character in a value.
    """
    values = b"\t".join([value for _, value in headers])
    if _CONTROL_CHARACTERS.search(values):
        raise ValueError("a control character in a header")
    return b"".join([b"%b: %b\r\n" % field for field in headers])
