"""Forwards an upstream's response to the client, streamed if it is long."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.types import Receive, Scope, Send

from headgate_engine import Unavailable
from headgate_grammar import UnparseError
from headgate_server.http.errors import Overloaded
from headgate_server.http.gzip import Compressor
from headgate_server.http.response import Fields, Reply, Response
from headgate_server.upstream.connection_pool import Incoming
from headgate_server.upstream.errors import Answered, BrokenOff, UpstreamError

# The errors that end the answer to a query.
FAILURES = (UpstreamError, Answered, UnparseError, Overloaded, Unavailable)
# Bytes of a response that is read whole before it is sent, so that an early end becomes an error.
_SHORT = 1 << 16
# Bytes that are buffered for HTTP/1.0 clients, which do not support chunked encoding.
_HELD = 1 << 22
# Bytes that are sent before Headgate watches for the client's disconnection.
_UNWATCHED = 1 << 18


async def relayed(reply: Incoming, headers: Fields, version: str) -> Response:
    """Returns *reply* as the response to a request of HTTP *version*. Raises UpstreamError.

    A long response is streamed. For HTTP/1.0, which lacks chunked encoding, a response without
    Content-Length is buffered, at most 4 MiB.
    """
    length = reply.header("Content-Length")
    if length and int(length) <= _SHORT:
        return Reply(await reply.read(_SHORT), reply.status, headers, as_is=True)
    if not length and version == "1.0":
        content = await reply.read(_HELD)
        return Reply(content, reply.status, headers)
    return Relay(reply, headers, reply.pieces())


async def _departure(receive: Receive) -> None:
    """Waits until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Relay:
    """A streaming response: the status of *reply* with *headers* and the body *pieces*.

    Raises BrokenOff if the upstream fails after the response has begun.
    """

    def __init__(self, reply: Incoming, headers: Fields, pieces: AsyncIterator[bytes]) -> None:
        self.status_code = reply.status
        self.raw_headers = headers
        self._reply, self._pieces = reply, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response, and closes the upstream's."""
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
                    return  # the client has disconnected
        except UpstreamError as error:
            raise BrokenOff(error) from None
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def sent(
    first: bytes, rest: AsyncIterator[bytes], compressor: Compressor | None
) -> AsyncGenerator[bytes, None]:
    """Yields *first* and *rest*, compressed if there is a *compressor*.

    Raises BrokenOff if the upstream fails.
    """
    try:
        async for piece in after(first, rest):
            yield compressor.piece(piece) if compressor is not None else piece
    except FAILURES as error:
        raise BrokenOff(error) from None
    if compressor is not None:
        yield compressor.end()


async def after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields *first*, then *rest*."""
    yield first
    async for piece in rest:
        yield piece
