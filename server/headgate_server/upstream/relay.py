"""Forwards an upstream store's response to the client. A long response is streamed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.types import Receive, Scope, Send

from headgate_engine import StoreUnavailable
from headgate_grammar import UnparseError
from headgate_server.http.errors import Overloaded
from headgate_server.http.gzip import Compressor
from headgate_server.http.response import ASGIResponse, RawHeaders, Response
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import ResponseAborted, UpstreamError, UpstreamRejected

# Errors of a forwarded query, which end its response.
FORWARDING_ERRORS = (UpstreamError, UpstreamRejected, UnparseError, Overloaded, StoreUnavailable)
# A response of up to this many bytes is read whole first: if it is truncated, the client receives
# an error.
_MAX_BUFFERED_BYTES = 1 << 16
# Bytes that are buffered for HTTP/1.0 clients, which do not support chunked encoding.
_MAX_HTTP10_BYTES = 1 << 22
# Bytes that are sent before Headgate watches for the client's disconnection.
_BYTES_BEFORE_WATCHING = 1 << 18


async def relay_response(
    reply: UpstreamResponse, headers: RawHeaders, version: str
) -> ASGIResponse:
    """Returns a response for the client with the status and body of *reply*, and with *headers*.

    *version* is the HTTP version of the client's request. Raises UpstreamError. A long response is
    streamed. For HTTP/1.0, which lacks chunked encoding, a response without Content-Length is
    buffered, at most 4 MiB.
    """
    length = reply.header("Content-Length")
    if length and int(length) <= _MAX_BUFFERED_BYTES:
        content = await reply.read(_MAX_BUFFERED_BYTES)
        if len(content) == int(length):  # not the response to HEAD
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        return Response(content, reply.status, headers, without_length=len(content) != int(length))
    if not length and version == "1.0":
        content = await reply.read(_MAX_HTTP10_BYTES)
        return Response(content, reply.status, headers)
    return Relay(reply, headers, reply.iter_chunks())


async def _wait_for_disconnect(receive: Receive) -> None:
    """Waits until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Relay:
    """A streaming response: the status of *reply* with *headers* and the body *chunks*.

    Raises ResponseAborted if the upstream fails after the response has begun.
    """

    def __init__(
        self, reply: UpstreamResponse, headers: RawHeaders, chunks: AsyncIterator[bytes]
    ) -> None:
        self.status_code = reply.status
        self.raw_headers = headers
        self._reply, self._chunks = reply, chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response, and closes the upstream's response."""
        try:
            await self._send(receive, send)
        finally:
            self._reply.close()

    async def _send(self, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        sent, disconnect_task = 0, None
        try:
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                sent += len(chunk)
                if disconnect_task is None and sent > _BYTES_BEFORE_WATCHING:
                    disconnect_task = asyncio.ensure_future(_wait_for_disconnect(receive))
                if disconnect_task is not None and disconnect_task.done():
                    return  # the client has disconnected
        except UpstreamError as error:
            raise ResponseAborted(error) from None
        finally:
            if disconnect_task is not None:
                disconnect_task.cancel()
        await send({"type": "http.response.body", "body": b""})


async def encode_chunks(
    first: bytes, rest: AsyncIterator[bytes], compressor: Compressor | None
) -> AsyncGenerator[bytes, None]:
    """Yields *first* and *rest*, compressed if there is a *compressor*.

    Raises ResponseAborted if the upstream fails.
    """
    try:
        async for chunk in prepend(first, rest):
            yield compressor.compress(chunk) if compressor is not None else chunk
    except FORWARDING_ERRORS as error:
        raise ResponseAborted(error) from None
    if compressor is not None:
        yield compressor.finish()


async def prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields *first*, then *rest*."""
    yield first
    async for chunk in rest:
        yield chunk
