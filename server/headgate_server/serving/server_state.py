"""The state that all connections of one worker process share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from headgate_server.http.response import RawHeaders
from headgate_server.serving.idle_connections import Evictable
from headgate_server.telemetry.logging import log_internal_error


class OpenConnection(Evictable, Protocol):
    """An open connection: HTTP, or a WebSocket."""

    def check_deadlines(self, now: float) -> None:
        """Ends the connection if it has exceeded a deadline at *now*, by the loop's clock."""
        ...

    def shutdown(self) -> None:
        """Closes the connection once its request is answered."""
        ...

    def abort(self) -> None:
        """Closes the connection immediately."""
        ...


@dataclass(slots=True)
class ServerState:
    """The open connections, the tasks of running requests, and the fields of each response."""

    connections: set[OpenConnection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    default_fields: RawHeaders = field(default_factory=list)  # the field Date, set anew each second
    stopping: bool = False  # whether new connections are refused

    def check_deadlines(self, now: float) -> None:
        """Ends each connection that has exceeded a deadline at *now*, by the loop's clock."""
        self._for_each(lambda connection: connection.check_deadlines(now))

    def shutdown(self) -> None:
        """Closes each connection once its request is answered, and refuses new connections."""
        self.stopping = True
        self._for_each(lambda connection: connection.shutdown())

    def abort(self) -> None:
        """Cancels all requests, and closes all connections immediately."""
        for task in self.tasks:
            task.cancel()
        self._for_each(lambda connection: connection.abort())

    def _for_each(self, action: Callable[[OpenConnection], None]) -> None:
        """Runs *action* for each connection. Aborts a connection for which it fails.

        The error is logged: a fault of one connection must not affect the others.
        """
        for connection in list(self.connections):
            try:
                action(connection)
            except Exception as error:
                log_internal_error(error, "")
                connection.abort()
