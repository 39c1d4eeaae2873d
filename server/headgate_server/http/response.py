"""An answer on its way out."""

import re
from collections.abc import AsyncIterable, Mapping
from http import HTTPStatus
from typing import Protocol

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

Fields = list[tuple[bytes, bytes]]

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
# By RFC 9110: no answer may be cut in two by what stands in a value.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Response(Protocol):
    """What sends itself. Fields may be added as long as it has not; names are in small letters."""

    status_code: int
    raw_headers: Fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Reply:
    """A Response that is all there. It tells the length of *body* unless it goes out *as_is*."""

    __slots__ = ("_head", "as_is", "body", "raw_headers", "status_code")

    def __init__(
        self,
        body: bytes = b"",
        status_code: int = 200,
        raw_headers: Fields | None = None,
        *,
        as_is: bool = False,
    ) -> None:
        self.body, self.status_code, self.as_is = body, status_code, as_is
        self.raw_headers: Fields = raw_headers if raw_headers is not None else []
        self._head = b""

    def fields(self) -> Fields:
        """All of them, the length among them."""
        if self.as_is or self.status_code in (204, 304):
            return self.raw_headers
        return [*self.raw_headers, (b"content-length", b"%d" % len(self.body))]

    def head(self) -> bytes:
        """Status line and fields as HTTP/1.1 writes them: written once. Nothing may be added then.

        Raises ValueError for a control character in a value.
        """
        if not self._head:
            self._head = _STATUS_LINES[self.status_code] + lines(self.fields())
        return self._head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What wanted to become a WebSocket is refused under another name.
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        start = {"status": self.status_code, "headers": self.fields()}
        await send({"type": f"{kind}.response.start", **start})
        await send({"type": f"{kind}.response.body", "body": self.body})


def fields(headers: Mapping[str, str]) -> Fields:
    """*headers* as they go out; their characters are Latin-1's."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]


def typed(media_type: str, *, gzip: bool = False) -> Fields:
    """The fields that say what the body is."""
    packed = [(b"content-encoding", b"gzip")] if gzip else []
    return [(b"content-type", media_type.encode("latin-1")), *packed]


def streamed(pieces: AsyncIterable[bytes], raw_headers: Fields) -> Response:
    """A Response that is sent as its *pieces* come."""
    response = StreamingResponse(pieces)
    response.raw_headers = raw_headers
    return response


def lines(fields: Fields) -> bytes:
    """*fields* as HTTP/1.1 writes them. Raises ValueError for a control character in a value."""
    values = b"\t".join([value for _, value in fields])
    if _FORBIDDEN.search(values):
        raise ValueError("a control character in a header")
    return b"".join([b"%b: %b\r\n" % field for field in fields])
