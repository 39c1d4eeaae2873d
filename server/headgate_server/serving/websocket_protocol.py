"""A connection that has become a WebSocket: uvicorn's, counted, and without an end of its own."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from headgate_server.telemetry.metrics import Metrics


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Takes the place of an HTTP connection behind whose *head* it goes on."""

    idle_since: float | None = None  # it does not make room for others

    def __init__(
        self,
        metrics: Metrics,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._metrics = metrics

    def take(self, transport: asyncio.Transport, head: bytes) -> None:
        """Goes on with *transport*, on which *head* was read, and perhaps more."""
        self.connection_made(transport)
        transport.set_protocol(self)
        self.data_received(head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._metrics.connection(-1)
        super().connection_lost(exc)

    def check(self, now: float) -> None:
        """uvicorn's own pings find out who is gone."""
