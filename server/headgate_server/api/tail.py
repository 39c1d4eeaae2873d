"""A WebSocket through the gateway, for Loki's tail. It is closed if the user loses the right."""

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

# A user may read for this long after the right was revoked.
RECHECK_SECONDS = 5.0
# The WebSocket is closed after this many checks in a row that could not decide.
_MOST_UNSURE = 12
_HANDSHAKE = frozenset(
    f"sec-websocket-{what}" for what in ("key", "version", "extensions", "protocol")
)
_NOBODY_KNOWS = (Unavailable, KeysUnavailable, Busy)
_GONE, _POLICY = 1001, 1008


class Tail:
    """One WebSocket between a client and a store, from authentication to the last message."""

    def __init__(
        self, call: Call, service: Service, mounted: Mounted, path: bytes, receive: Receive
    ) -> None:
        self._call, self._service, self._mounted, self._path = call, service, mounted, path
        self._receive = receive
        # Before the WebSocket is open, the only possible event is that the client disconnects.
        self._first: asyncio.Future[Message] = asyncio.ensure_future(_next(receive))
        self._unsure = 0

    async def open(self, protocols: Sequence[str]) -> Socket:
        """Authorizes the request, and returns the open WebSocket to the store.

        Raises what `admit` raises, NoRoute, CrossSite, UpstreamError; ClientDisconnect if the
        client disconnects meanwhile.
        """
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
        """Forwards messages in both directions until one end closes or the right is revoked."""
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
        """Returns a close code when the user may no longer read.

        Also after 12 checks in a row that could not decide, such as if the store is unavailable.
        """
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._look()
            except _NOBODY_KNOWS:
                # Tolerated for a while: the next check may succeed.
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
        """Authorizes the request again, with the current settings.

        Raises NoRoute, and what `admit` raises, if it is no longer authorized.
        """
        mounted, path = self._service.gateway.find(self._call, self._call.raw_path)
        if mounted is None or mounted.table is None:
            raise NoRoute(set())
        principal = self._admitted.principal
        if principal.method == "password":
            # The password is not verified again: guesses of other clients may have throttled it.
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
    """Returns the GET request that opens a WebSocket (RFC 6455, 4.1)."""
    return Call({**scope, "type": "http", "method": "GET"}, receive, proxies)
