"""A trusted proxy's connection, while its PROXY header is incomplete."""

import asyncio
import math
import socket
from collections.abc import Callable

from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.proxy_header import (
    MAX_HEADER_BYTES,
    MalformedHeader,
    ProxyHeader,
    read_proxy_header,
)
from headgate_server.serving.server_state import ServerState
from headgate_server.telemetry.access_log import log_malformed
from headgate_server.telemetry.metrics import Metrics


class PendingHeader:
    """An `OpenConnection` that reads the PROXY header of *connection*, and no byte after it.

    *peer* is the proxy's address. *complete* is called with the header's source address. An invalid
    header closes the connection, and so does one that is incomplete after `limits.read_header`.
    """

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        limits: ConnectionLimits,
        idle: IdleConnections,
        state: ServerState,
        metrics: Metrics,
        complete: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, self._peer = connection, peer
        self._limits, self._idle, self._state, self._metrics = limits, idle, state, metrics
        self._complete = complete
        self._received = b""
        self._deadline = math.inf
        self.idle_since: float | None = None

    def start(self) -> None:
        """Starts to read. Beyond the connection limit, closes an idle connection or this one."""
        self._state.connections.add(self)
        limit = self._limits.connections
        if not self._idle.make_room(self._state.connections, limit, self._metrics):
            self.abort()
            return
        self.idle_since = self._loop.time()
        if self._limits.read_header:
            self._deadline = self.idle_since + self._limits.read_header
        self._loop.add_reader(self._connection, self._read)

    def check_deadlines(self, now: float) -> None:
        """Closes the connection if the header is too slow at *now*, by the loop's clock."""
        if now >= self._deadline:
            self._reject(408, "too slow")

    def shutdown(self) -> None:
        """Closes the connection: it has no request yet."""
        self.abort()

    def evict(self) -> bool:
        """Closes the connection. Returns True: another may take its place."""
        self.abort()
        return True

    def abort(self) -> None:
        """Closes the connection immediately."""
        self._end()
        self._connection.close()

    def _end(self) -> None:
        """Stops reading."""
        self.idle_since = None
        self._state.connections.discard(self)
        self._loop.remove_reader(self._connection)

    def _read(self) -> None:
        """Reads what has arrived of the header. What follows the header stays in the socket."""
        try:
            waiting = self._connection.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
            found = read_proxy_header(self._received + waiting)
            match found:
                case ProxyHeader():
                    self._take(found.size - len(self._received))
                case None:
                    self._take(len(waiting))
        except BlockingIOError:
            return
        except OSError:
            self.abort()  # the proxy has reset the connection
            return
        match found:
            case MalformedHeader():
                self._reject(400, found.reason)
            case ProxyHeader() if len(self._received) == found.size:
                self._end()
                self._complete(found.source)
            case None if not waiting and self._received:
                self._reject(400, "truncated")
            case None if not waiting:
                self.abort()  # a health check that only connects

    def _take(self, size: int) -> None:
        """Takes *size* bytes of the header from the socket, where they have arrived already."""
        self._received += self._connection.recv(size) if size else b""

    def _reject(self, status: int, reason: str) -> None:
        """Closes the connection, and logs *reason* with *status*. The proxy gets no response."""
        self.abort()
        self._metrics.request("other", "other", status, 0)
        log_malformed(self._peer, status, f"PROXY header: {reason}")
