"""A WebSocket through the gateway: Loki's tail. Who may no longer read is cut off."""

import asyncio
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from headgate_engine import Unavailable
from headgate_server.api.errors import refusal
from headgate_server.api.proxy import admit, view
from headgate_server.app_context import Service
from headgate_server.auth.jwt.key_source import KeysUnavailable
from headgate_server.gateway.authorization import NoRoute, find, judge
from headgate_server.gateway.errors import Busy
from headgate_server.gateway.mount import Mounted
from headgate_server.http.errors import CrossSite
from headgate_server.http.request import Call
from headgate_server.telemetry.logging import report
from headgate_server.upstream.errors import Broken
from headgate_server.upstream.websocket import Socket

# So long somebody may go on whose right was taken away meanwhile.
RECHECK_SECONDS = 5.0
_MOST_UNSURE = 12
_HANDSHAKE = frozenset(
    f"sec-websocket-{what}" for what in ("key", "version", "extensions", "protocol")
)
_NOBODY_KNOWS = (Unavailable, KeysUnavailable, Busy)
_GONE, _POLICY = 1001, 1008


class Tail:
    """Both ends of one, from the login to the last message."""

    def __init__(
        self, call: Call, service: Service, mounted: Mounted, path: bytes, receive: Receive
    ) -> None:
        self._call, self._service, self._mounted, self._path = call, service, mounted, path
        self._receive = receive
        # Before it is open nothing can come but that the client leaves.
        self._first: asyncio.Future[Message] = asyncio.ensure_future(_next(receive))
        self._unsure = 0

    async def open(self, protocols: Sequence[str]) -> Socket:
        """The store's end. Raises what `admit` raises, NoRoute, UpstreamError, ClientDisconnect."""
        opening = asyncio.ensure_future(self._open(protocols))
        await asyncio.wait((opening, self._first), return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            if opening.exception() is not None:
                self._first.cancel()
            return opening.result()
        opening.cancel()
        raise ClientDisconnect

    async def _open(self, protocols: Sequence[str]) -> Socket:
        self._admitted = await admit(self._call, self._service, self._mounted, self._path)
        if not self._admitted.judged.route.websocket:
            raise NoRoute(set())
        if self._call.cross_site:  # browsers let a page of any site open a WebSocket
            raise CrossSite("a WebSocket")
        headers = [pair for pair in self._admitted.headers if pair[0].lower() not in _HANDSHAKE]
        component = self._admitted.judged.route.component
        return await self._mounted.upstream.websocket(
            self._admitted.target, headers, protocols, component
        )

    async def run(self, socket: Socket, send: Send) -> None:
        """Hands messages on until one end closes, or the right is gone."""
        await send({"type": "websocket.accept", "subprotocol": socket.protocol})
        ways = [
            asyncio.ensure_future(self._inward(socket)),
            asyncio.ensure_future(self._outward(socket, send)),
            asyncio.ensure_future(self._watch()),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            code = next(iter(done)).result()
            if code:
                await send({"type": "websocket.close", "code": code})
        finally:
            self._first.cancel()
            for way in ways:
                way.cancel()
            await socket.close()

    async def _inward(self, socket: Socket) -> int:
        message = await self._first
        while message["type"] == "websocket.receive":
            content = message.get("text")
            try:
                await socket.send(content if content is not None else message["bytes"])
            except Broken:
                return _GONE
            message = await self._receive()
        return 0

    async def _outward(self, socket: Socket, send: Send) -> int:
        while (message := await socket.receive()) is not None:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
        return socket.code if socket.code not in (1005, 1006) else _GONE

    async def _watch(self) -> int:
        """Ends when he may no longer read."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._look()
            except _NOBODY_KNOWS:
                # For a while: the next look may tell.
                self._unsure += 1
                if self._unsure >= _MOST_UNSURE:
                    return _POLICY
            except Exception as error:
                if refusal(error) is None and not isinstance(error, NoRoute):
                    report(error, self._call.note.id)
                return _POLICY
            else:
                self._unsure = 0

    async def _look(self) -> None:
        """Whether he may still, by what is configured now. Raises what `admit` raises, NoRoute."""
        mounted, path = self._service.gateway.find(self._call, self._call.raw_path)
        if mounted is None or mounted.table is None:
            raise NoRoute(set())
        principal = self._admitted.principal
        if principal.method == "password":
            # Not by his password again: others who guess at it can make a login wait.
            now = self._service.engine.renew(principal)
            judge(mounted, self._service.engine, find(mounted, view(self._call, path)), now)
            return
        again = self._call.again()
        try:
            await admit(again, self._service, mounted, path)
        finally:
            again.end()


async def _next(receive: Receive) -> Message:
    return await receive()


def as_request(scope: Scope, receive: Receive, proxies: tuple[str, ...]) -> Call:
    """The request by which a WebSocket begins."""
    return Call({**scope, "type": "http", "method": "GET"}, receive, proxies)
