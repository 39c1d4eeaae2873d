"""What the connections of one worker process share."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from headgate_server.http.response import RawHeaders
from headgate_server.serving.idle_connections import Evictable


class OpenConnection(Evictable, Protocol):
    """An open connection: HTTP, or a WebSocket."""

    def check_deadlines(self, now: float) -> None:
        """Ends the connection if it has exceeded a deadline at *now*, by the loop's clock."""
        ...

    def shutdown(self) -> None:
        """Closes the connection once its request is answered."""
        ...

    def abort(self) -> None:
        """Closes the connection now."""
        ...


@dataclass(slots=True)
class ServerState:
    """The open connections, the tasks of running requests, and the fields of each response."""

    connections: set[OpenConnection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    default_fields: RawHeaders = field(default_factory=list)  # the field Date, set anew each second
