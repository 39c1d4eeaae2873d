"""A WebSocket through the gateway: Loki's tail. Who may no longer read is cut off."""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from headgate_server.call import Call
from headgate_server.failures import Broken
from headgate_server.gateway.judge import NoRoute
from headgate_server.gateway.mounted import Mounted
from headgate_server.gateway.proxy import Admitted, admit
from headgate_server.gateway.websocket import Socket
from headgate_server.refusals import refusal
from headgate_server.service import Service

# So long somebody may go on whose right was taken away meanwhile.
RECHECK_SECONDS = 5.0
_HANDSHAKE = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})
_GONE, _POLICY = 1001, 1008


class Tail:
    """Both ends of one, from the login to the last message."""

    def __init__(self, call: Call, service: Service, mounted: Mounted, path: bytes) -> None:
        self._call, self._service, self._mounted, self._path = call, service, mounted, path

    async def open(self, protocols: Sequence[str]) -> Socket:
        """The store's end. Raises what `admit` raises, NoRoute, UpstreamError."""
        self._admitted = await self._admit()
        if not self._admitted.judged.route.websocket:
            raise NoRoute(set())
        headers = [
            (name, value)
            for name, value in self._admitted.headers
            if name.lower() not in _HANDSHAKE | {"sec-websocket-protocol"}
        ]
        component = self._admitted.judged.route.component
        return await self._mounted.upstream.websocket(
            self._admitted.target, headers, protocols, component
        )

    async def _admit(self) -> Admitted:
        return await admit(self._call, self._service, self._mounted, self._path)

    async def run(self, socket: Socket, receive: Receive, send: Send) -> None:
        """Hands messages on until one end closes, or the right is gone."""
        await send({"type": "websocket.accept", "subprotocol": socket.protocol})
        ways = [
            asyncio.ensure_future(self._inward(socket, receive)),
            asyncio.ensure_future(self._outward(socket, send)),
            asyncio.ensure_future(self._watch()),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            code = next(iter(done)).result()
            if code:
                await send({"type": "websocket.close", "code": code})
        finally:
            for way in ways:
                way.cancel()
            await socket.close()

    async def _inward(self, socket: Socket, receive: Receive) -> int:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return 0
            content = message.get("text")
            try:
                await socket.send(content if content is not None else message["bytes"])
            except Broken:
                return _GONE

    async def _outward(self, socket: Socket, send: Send) -> int:
        while (message := await socket.receive()) is not None:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
        return socket.code if socket.code not in (1005, 1006) else _GONE

    async def _watch(self) -> int:
        """Ends when he may no longer read."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if not await self._may_still():
                return _POLICY

    async def _may_still(self) -> bool:
        """By the same way as at first: password, token, grant and table are looked at again."""
        again = Call(self._call.scope, self._call.receive)
        again.mounted = self._mounted
        try:
            await admit(again, self._service, self._mounted, self._path)
        except Exception as error:
            row = refusal(error)
            # If nobody can say, he goes on: the next look may tell.
            return row is not None and row.status >= 429
        finally:
            again.end()
        return True


def as_request(scope: Scope, receive: Receive) -> Call:
    """The request by which a WebSocket begins."""
    return Call({**scope, "type": "http", "method": "GET"}, receive)
