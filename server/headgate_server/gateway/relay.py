"""An upstream's answer on its way to the client: as it comes, and only what is the client's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headgate_server.failures import BrokenOff, UpstreamError
from headgate_server.gateway.client import Reply

# So much is sent before it is looked whether anybody is still there.
_UNWATCHED = 1 << 18


def _nothing() -> None:
    """Nothing is held."""


class Relay(Response):
    """*reply* as the answer to a request, with *headers*; *first* is what was read of its body.

    Calls *done* at its end, however that comes.
    """

    def __init__(
        self,
        reply: Reply,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        first: bytes = b"",
        rest: AsyncIterator[bytes] | None = None,
        done: Callable[[], None] = _nothing,
    ) -> None:
        self.status_code = reply.status
        self.background = None
        self.body = b""
        self.raw_headers = list(headers)
        self._reply, self._first, self._done = reply, first, done
        self._rest = rest if rest is not None else reply.pieces()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._send(receive, send)
        finally:
            self._reply.close()
            self._done()

    async def _send(self, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        if self._first:
            await _piece(send, self._first)
        sent, gone = 0, None
        try:
            async for piece in self._rest:
                await _piece(send, piece)
                sent += len(piece)
                if gone is None and sent > _UNWATCHED:
                    gone = asyncio.ensure_future(receive())
                if gone is not None and gone.done():
                    return  # nobody is there to hear the rest
        except UpstreamError as error:
            raise BrokenOff(error) from None
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
