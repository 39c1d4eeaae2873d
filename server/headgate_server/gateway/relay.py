"""An upstream's answer on its way to the client: as it comes, and only what is the client's."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headgate_server.failures import BrokenOff, UpstreamError
from headgate_server.gateway.client import Reply

RawHeaders = list[tuple[bytes, bytes]]

# So much is read before anything is sent: whoever asked hears of it if it breaks off.
_SHORT = 1 << 16
# So much is held for who knows no pieces.
_HELD = 1 << 22
# So much is sent before it is looked whether anybody is still there.
_UNWATCHED = 1 << 18


async def relayed(reply: Reply, headers: RawHeaders, version: str) -> Response:
    """*reply* as the answer to a request of HTTP *version*. Raises UpstreamError.

    What is long is sent as it comes; to HTTP/1.0, which knows no pieces, only with its length.
    """
    length = reply.header("Content-Length")
    if length and int(length) <= _SHORT:
        return Whole(reply.status, headers, await reply.read(_SHORT))
    if not length and version == "1.0":
        content = await reply.read(_HELD)
        length_too = [*headers, (b"content-length", b"%d" % len(content))]
        return Whole(reply.status, length_too, content)
    return Relay(reply, headers, reply.pieces())


class Whole(Response):
    """An answer that is all there; of *headers* nothing is left out, and nothing added."""

    def __init__(self, status: int, headers: RawHeaders, content: bytes) -> None:
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = headers


async def _departure(receive: Receive) -> None:
    """Waits until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Relay(Response):
    """*reply* with *headers*; *pieces* is its body, or what is made of it."""

    def __init__(self, reply: Reply, headers: RawHeaders, pieces: AsyncIterator[bytes]) -> None:
        self.status_code = reply.status
        self.background = None
        self.body = b""
        self.raw_headers = headers
        self._reply, self._pieces = reply, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._send(receive, send)
        finally:
            self._reply.close()

    async def _send(self, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        sent, gone = 0, None
        try:
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                sent += len(piece)
                if gone is None and sent > _UNWATCHED:
                    gone = asyncio.ensure_future(_departure(receive))
                if gone is not None and gone.done():
                    return  # nobody is there to hear the rest
        except UpstreamError as error:
            raise BrokenOff(error) from None
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})
