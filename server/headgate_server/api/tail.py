"""Proxies a WebSocket to an upstream store: Loki's tail, a live stream of log lines.

The WebSocket is closed soon after the user loses the privilege to read.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from headgate_engine import Principal, StoreUnavailable
from headgate_server.api.error_statuses import error_status_for
from headgate_server.api.proxy import authorize_request, route_request
from headgate_server.app_context import AppContext
from headgate_server.auth.errors import AccessUnconfirmed, KeysUnavailable
from headgate_server.gateway.authorization import RouteNotFound, authorize_route, match_route
from headgate_server.gateway.errors import UserLimitExceeded
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import CrossSiteRequest
from headgate_server.http.request import Request
from headgate_server.http.trusted_proxies import TrustedProxies
from headgate_server.telemetry.logging import log_internal_error
from headgate_server.upstream.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from headgate_server.upstream.websocket import UpstreamWebSocket

# The interval of checks: after its revocation, a right may be used for this long.
RECHECK_SECONDS = 5.0
# The WebSocket is closed after this many checks in a row without a decision.
_MAX_UNDECIDED_CHECKS = 12
_HANDSHAKE_HEADERS = frozenset(
    f"sec-websocket-{what}" for what in ("key", "version", "extensions", "protocol")
)
_UNDECIDED_ERRORS = (StoreUnavailable, KeysUnavailable, AccessUnconfirmed, UserLimitExceeded)
_CLOSE_GOING_AWAY, _CLOSE_POLICY_VIOLATION = 1001, 1008


class Tail:
    """One WebSocket between a client and a store, from authentication to the last message."""

    def __init__(
        self, request: Request, context: AppContext, mount: Mount, path: bytes, receive: Receive
    ) -> None:
        self._request, self._context, self._mount, self._path = request, context, mount, path
        self._receive = receive
        # Before the WebSocket is open, it is that the client disconnects, or a message too early.
        self._first_message: asyncio.Future[Message] = asyncio.ensure_future(_receive_once(receive))
        self._undecided_checks = 0

    async def open(self, protocols: Sequence[str]) -> "UpstreamWebSocket":
        """Authorizes the request, and returns the open WebSocket to the store.

        *protocols* are the subprotocols that the client offers. Raises what `authorize_request`
        raises, RouteNotFound, CrossSiteRequest, UpstreamError. Raises ClientDisconnect if the
        client disconnects before the WebSocket is open.
        """
        opening = asyncio.ensure_future(self._open(protocols))
        await asyncio.wait((opening, self._first_message), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done() and self._first_message.result()["type"] == "websocket.receive":
            await asyncio.wait((opening,))  # the client has not waited: it is still connected
        if opening.done():
            if opening.exception() is not None:
                self._first_message.cancel()
            return opening.result()
        opening.cancel()
        raise ClientDisconnect

    async def _open(self, protocols: Sequence[str]) -> "UpstreamWebSocket":
        self._authorized = await authorize_request(
            self._request, self._context, self._mount, self._path, is_traced=False
        )
        if not self._authorized.authorized.route.websocket:
            raise RouteNotFound(set())
        if self._request.cross_site:  # browsers let a page of any site open a WebSocket
            raise CrossSiteRequest("a WebSocket")
        headers = [
            pair for pair in self._authorized.headers if pair[0].lower() not in _HANDSHAKE_HEADERS
        ]
        component = self._authorized.authorized.route.component
        return await self._mount.upstream.websocket(
            self._authorized.target, headers, protocols, component
        )

    async def run(self, websocket: "UpstreamWebSocket", send: Send) -> None:
        """Forwards messages in both directions until one end closes or the right is revoked."""
        await send({"type": "websocket.accept", "subprotocol": websocket.protocol})
        tasks = [
            asyncio.ensure_future(self._forward_to_store(websocket)),
            asyncio.ensure_future(self._forward_to_client(websocket, send)),
            asyncio.ensure_future(self._recheck_periodically()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = next(iter(done)).result()
            if code:
                await send({"type": "websocket.close", "code": code})
        finally:
            self._first_message.cancel()
            for task in tasks:
                task.cancel()
            await websocket.close()

    async def _forward_to_store(self, websocket: "UpstreamWebSocket") -> int:
        """Forwards the client's messages to the upstream store until one end closes.

        Returns the close code for the client, or 0 if the client has closed.
        """
        message = await self._first_message
        while message["type"] == "websocket.receive":
            content = message.get("text")
            try:
                await websocket.send(content if content is not None else message["bytes"])
            except UpstreamProtocolError:
                return _CLOSE_GOING_AWAY
            message = await self._receive()
        return 0

    async def _forward_to_client(self, websocket: "UpstreamWebSocket", send: Send) -> int:
        """Forwards the upstream store's messages to the client until the store closes.

        Returns the close code for the client.
        """
        while (message := await websocket.receive()) is not None:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
        return (
            websocket.close_code if websocket.close_code not in (1005, 1006) else _CLOSE_GOING_AWAY
        )

    async def _recheck_periodically(self) -> int:
        """Checks every 5 seconds whether the user may still read.

        Returns a close code when the user may not, or after 12 checks in a row without a decision.
        A check cannot decide, for example, while the user store is unavailable.
        """
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._recheck()
            except _UNDECIDED_ERRORS:
                # Tolerated for a while: the next check may succeed.
                self._undecided_checks += 1
                if self._undecided_checks >= _MAX_UNDECIDED_CHECKS:
                    return _CLOSE_POLICY_VIOLATION
            except Exception as error:
                if error_status_for(error) is None and not isinstance(error, RouteNotFound):
                    log_internal_error(error, self._request.log.id)
                return _CLOSE_POLICY_VIOLATION
            else:
                self._undecided_checks = 0

    async def _recheck(self) -> None:
        """Authorizes the request again, with the current settings.

        If the request is no longer authorized, raises RouteNotFound or what `authorize_request`
        raises.
        """
        mount, path = self._context.gateway.find(self._request, self._request.raw_path)
        if mount is None or mount.proxied is None:
            raise RouteNotFound(set())
        principal = self._authorized.principal
        if principal.method == "password" or principal.session is not None:
            # The password is not verified again: failures of other clients may have throttled it.
            # Nor is the token of a session, which the browser has replaced meanwhile.
            current = await self._renewed(principal)
            authorize_route(
                mount,
                self._context.engine,
                match_route(mount, route_request(self._request, path)),
                current,
            )
            return
        repeated = self._request.copy()
        try:
            await authorize_request(repeated, self._context, mount, path, is_traced=False)
        finally:
            repeated.end()

    async def _renewed(self, principal: Principal) -> Principal:
        """Returns *principal* with its rights now.

        Raises AuthenticationFailed, SessionRejected, AccessUnconfirmed.
        """
        engine = self._context.engine
        if principal.session is None:
            return engine.renew(principal)
        current = engine.sessions.renew_by_id(principal)
        return await self._context.confirm_access(current, self._request.address)


async def _receive_once(receive: Receive) -> Message:
    return await receive()


def handshake_request(scope: Scope, receive: Receive, proxies: TrustedProxies | None) -> Request:
    """Returns the GET request that opens the WebSocket of *scope* (RFC 6455, 4.1).

    *proxies* are the trusted proxies.
    """
    return Request({**scope, "type": "http", "method": "GET"}, receive, proxies)
