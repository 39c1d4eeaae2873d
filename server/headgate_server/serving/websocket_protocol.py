"""A client's connection that has become a WebSocket: uvicorn's protocol, with metrics.

This is the only file of the server that uses uvicorn. uvicorn documents neither the protocol class
nor the state of its server, so a test checks the names that are used here: `USED_NAMES`.
"""

import asyncio
import math
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState as UvicornState
from websockets.server import ServerProtocol

from headgate_server.http.request import RELAYED_CLIENT
from headgate_server.serving.final_response import final_response
from headgate_server.serving.server_state import ServerState
from headgate_server.serving.tls_close import abort_after_close
from headgate_server.telemetry.metrics import Metrics

USED_NAMES = {
    WebSocketsSansIOProtocol: (
        "connection_made",
        "connection_lost",
        "data_received",
        "handshake_initiated",
        "handshake_complete",
        "shutdown",
    ),
    UvicornState: ("connections", "tasks"),
}
# Seconds that a closing connection has for sending the rest.
_CLOSE_SECONDS = 10.0


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that takes over an HTTP connection after the head of its request."""

    idle_since: float | None = None  # it is never evicted

    def __init__(self, application: ASGIApp, metrics: Metrics, state: ServerState) -> None:
        config = Config(
            cast(Any, application),
            interface="asgi3",
            ws="none",
            log_config=None,
            proxy_headers=False,  # any client could forge its address in the audit
            server_header=False,
        )
        uvicorn_state = UvicornState()
        uvicorn_state.connections = cast(Any, state.connections)
        uvicorn_state.tasks = cast(Any, state.tasks)
        config.load()
        super().__init__(config, uvicorn_state, {})
        self._metrics = metrics
        self._close_deadline = math.inf

    def connection_lost(self, exc: Exception | None) -> None:
        """Subtracts the connection from the metric of open connections."""
        self._metrics.connection(-1)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses *data*. Ends the connection if data arrives before the handshake's response.

        RFC 6455, section 4.1: the client waits for the response before it sends further data.
        """
        if self.handshake_initiated and not self.handshake_complete:
            if not self.transport.is_closing():
                self.transport.write(final_response(400))
                self.transport.close()
            return
        super().data_received(data)

    def check_deadlines(self, now: float) -> None:
        """Aborts a connection that has been closing for too long at *now*, by the loop's clock.

        Closing waits until the client has received what was sent. While the WebSocket is open,
        uvicorn's pings detect a lost connection.
        """
        if not self.transport.is_closing():
            self._close_deadline = now + _CLOSE_SECONDS
        elif now >= self._close_deadline:
            self.transport.abort()

    def shutdown(self) -> None:
        """Closes the WebSocket with the code for a restart of the service, 1012."""
        super().shutdown()
        abort_after_close(self.transport)

    def evict(self) -> bool:
        """Returns False: a WebSocket is never idle."""
        return False

    def abort(self) -> None:
        """Closes the connection immediately."""
        self.transport.abort()


class RelayedApplication:
    """Runs *application* with the address in the connection's PROXY header in the ASGI scope."""

    def __init__(self, application: ASGIApp, relayed_client: str) -> None:
        self._application, self._relayed_client = application, relayed_client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a WebSocket (ASGI)."""
        await self._application({**scope, RELAYED_CLIENT: self._relayed_client}, receive, send)


def take_over_connection(
    transport: asyncio.Transport,
    head: bytes,
    application: ASGIApp,
    metrics: Metrics,
    state: ServerState,
    rest: bytes,
) -> None:
    """Makes *transport* a WebSocket, which *application* answers.

    *head* is the request's head, for which `is_handshake` is True. *rest* was received after it.
    """
    connection = WebSocketConnection(application, metrics, state)
    connection.connection_made(transport)
    transport.set_protocol(connection)
    connection.data_received(head)
    if rest:
        connection.data_received(rest)


def is_handshake(head: bytes) -> bool:
    """Returns whether *head* can open a WebSocket: it has no body, and no part is too long.

    The handshake may still be refused, for example because it has no key.
    """
    protocol = ServerProtocol()
    protocol.receive_data(head)
    return bool(protocol.events_received())
