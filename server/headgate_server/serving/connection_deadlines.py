"""The base class of a client's connection: deadlines, and release of memory.

Reading, writing and the pause between two requests have deadlines. An idle connection releases its
last request.
"""

import asyncio
import math
from typing import cast

from headgate_server.http.write_buffer import write_buffer
from headgate_server.serving.asgi_exchange import AsgiExchange
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.flow_control import FlowControl
from headgate_server.serving.head_memory import HeadBudget
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.server_state import ServerState
from headgate_server.serving.tls_close import TLS_CLOSE_SECONDS


class TimeoutProtocol(asyncio.Protocol):
    """An HTTP connection with deadlines.

    It is a `HeadHolder`, which drops an incomplete request head when memory is short, and
    `Evictable`: at the connection limit it can be closed while idle.

    Call `check_deadlines` periodically: it enforces *limits*.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        heads: HeadBudget,
        idle: IdleConnections,
        state: ServerState,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._state = state
        self._limits = limits
        self._heads = heads
        self._idle = idle
        self._write_buffer = write_buffer()
        self._deadline = math.inf  # for the current request, or for the next
        self._write_deadline = math.inf  # for the client to receive what was sent
        self._reading = False  # between a request's first byte and its last
        self._unsent = 0
        self._last_active: float | None = None  # when a deadline was last set
        # The ASGI exchanges of the request that was read last, and of the one that is answered now.
        self._exchange: AsgiExchange | None = None
        self._running: AsgiExchange | None = None
        self._batchable = False  # may be answered without ASGI once complete
        self.url: bytes = b""
        self.headers = list[tuple[bytes, bytes]]()
        self._host_values, self._transfer_codings = list[bytes](), list[bytes]()

    transport: asyncio.Transport
    flow: FlowControl

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stores the transport, and the addresses of both ends."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has another base class
        self.flow = FlowControl(self.transport)
        self.client = _address(transport.get_extra_info("peername"))
        self._server_address = _address(transport.get_extra_info("sockname"))
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._state.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Removes the connection from the open ones, and its head from the `HeadBudget`."""
        self._heads.release(self)
        self._state.connections.discard(self)
        self.flow.resume_writing()

    def abort(self) -> None:
        """Closes the connection immediately. Responses that are not sent yet are lost."""
        self.transport.abort()

    def evict_head(self) -> None:
        """Rejects the request with the incomplete head: 408, as for a client that is too slow."""
        self._reject(408)
        self._release_head()

    def _release_head(self) -> None:
        """Drops the URL and the header fields that were read, to release their memory."""
        self.url, self.headers, self._host_values, self._transfer_codings = b"", [], [], []

    def _release_request(self) -> None:
        """Drops a request that was read and answered, to release its memory."""
        self._exchange = self._running = None

    def _busy(self) -> bool:
        """Returns whether an ASGI application is still sending a response on this connection."""
        return self._running is not None and not self._running.response_complete

    @property
    def idle_since(self) -> float | None:
        """When the connection was last active, by the loop's clock.

        None while it may not be closed at the connection limit.
        """
        in_use = self._batchable or self._busy() or self.transport.is_closing()
        return None if in_use else self._last_active

    def evict(self) -> bool:
        """Closes the idle connection. Returns whether a new connection may take its place at once.

        Returns False if a response has not been sent completely: the rest is sent first.
        """
        self._heads.release(self)
        self._write_buffer.flush()
        if self.transport.is_closing():
            return False
        unsent = self.transport.get_write_buffer_size()
        self.transport.close()
        if unsent:
            return False
        self._state.connections.discard(self)
        if self.scheme == "https":
            # Closing waits for the client's close_notify, which may never arrive.
            self._loop.call_later(TLS_CLOSE_SECONDS, self.transport.abort)
        return True

    def _close(self) -> None:
        """Closes the connection after all responses are sent."""
        self._write_buffer.flush()
        self.transport.close()

    def pause_writing(self) -> None:
        """Starts the write deadline: the write buffer is full, as the client receives slowly."""
        self._unsent = self.transport.get_write_buffer_size()
        self._write_deadline = self._deadline_after(self._limits.write)
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Ends the write deadline: the client has received enough."""
        self._write_deadline = math.inf
        self.flow.resume_writing()

    def check_deadlines(self, now: float) -> None:
        """Ends the connection if it has exceeded a deadline at *now*, by the loop's clock."""
        if self.flow.write_paused or self.transport.is_closing():
            self._check_writing(now)
        elif now >= self._deadline:
            if self.flow.read_paused:  # the server is slow, not the client
                self._deadline = self._deadline_after(self._limits.read)
            elif self._reading:
                self._reject(408)
            else:
                self.transport.close()

    def _check_writing(self, now: float) -> None:
        """Aborts the connection if the client has received nothing until the write deadline."""
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent or self._write_deadline == math.inf:
            self._write_deadline = self._deadline_after(self._limits.write)
        elif now >= self._write_deadline:
            self.transport.abort()
        self._unsent = unsent

    def _deadline_after(self, seconds: float) -> float:
        """Records that the connection is active now, and returns a deadline by the loop's clock.

        The deadline is *seconds* from now, or infinity for 0.
        """
        self._last_active = now = self._loop.time()
        return now + seconds if seconds else math.inf

    def shutdown(self) -> None:
        """Closes the connection once its request is answered."""
        raise NotImplementedError

    def _reject(self, status: int) -> None:
        """Sends a final response with *status*, and ends the connection."""
        raise NotImplementedError


def _address(found: object) -> tuple[str, int] | None:
    """Returns the host and the port in *found*, an address of a socket; None for a unix socket."""
    if isinstance(found, tuple) and len(found) >= 2:
        return str(found[0]), int(found[1])
    return None
