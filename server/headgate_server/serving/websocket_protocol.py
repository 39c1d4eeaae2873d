"""A client's connection that has become a WebSocket: uvicorn's protocol, with metrics.

This is the only file of the server that uses uvicorn. uvicorn documents neither the protocol class
nor the state of its server, so a test checks the names that are used here: `USED_NAMES`.
"""

import asyncio
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState as UvicornState

from headgate_server.serving.server_state import ServerState
from headgate_server.telemetry.metrics import Metrics

USED_NAMES = {
    WebSocketsSansIOProtocol: ("connection_made", "connection_lost", "data_received", "shutdown"),
    UvicornState: ("connections", "tasks"),
}


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

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts the end of the connection."""
        self._metrics.connection(-1)
        super().connection_lost(exc)

    def check_deadlines(self, now: float) -> None:
        """Does nothing: uvicorn's own pings detect a lost connection."""

    def evict(self) -> bool:
        """Returns False: a WebSocket is never idle."""
        return False

    def abort(self) -> None:
        """Closes the connection now."""
        self.transport.abort()


def take_over_connection(
    transport: asyncio.Transport,
    head: bytes,
    application: ASGIApp,
    metrics: Metrics,
    state: ServerState,
) -> None:
    """Makes *transport* a WebSocket, which *application* answers.

    *head* is the request's head, with all bytes read after it.
    """
    connection = WebSocketConnection(application, metrics, state)
    connection.connection_made(transport)
    transport.set_protocol(connection)
    connection.data_received(head)
