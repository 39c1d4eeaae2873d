"""A client's connection that has become a WebSocket: uvicorn's protocol, with metrics."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from headgate_server.telemetry.metrics import Metrics


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that takes over an HTTP connection after the head of its request."""

    idle_since: float | None = None  # it is never evicted

    def __init__(
        self,
        metrics: Metrics,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._metrics = metrics

    def take_over(self, transport: asyncio.Transport, head: bytes) -> None:
        """Takes over *transport*. *head* is the request's head, with all bytes read after it."""
        self.connection_made(transport)
        transport.set_protocol(self)
        self.data_received(head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts the end of the connection."""
        self._metrics.connection(-1)
        super().connection_lost(exc)

    def check_deadlines(self, now: float) -> None:
        """Does nothing: uvicorn's own pings detect a lost connection."""
