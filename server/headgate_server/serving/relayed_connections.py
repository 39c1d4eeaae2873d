"""Accepts connections that begin with a PROXY header, which comes before TLS and HTTP.

asyncio reads more than the header, and a TLS server cannot take bytes that were read already. So
the sockets are accepted here. asyncio takes over a socket after the header has been read.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from headgate_server.http.trusted_proxies import UNIX, is_trusted
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.pending_header import PendingHeader
from headgate_server.serving.server_state import ServerState
from headgate_server.telemetry.logging import log_error
from headgate_server.telemetry.metrics import Metrics

_MAX_ACCEPTS_PER_EVENT = 100
# Errors of `accept` that persist for a while; asyncio waits for the same time.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SHORTAGE_SECONDS = 1.0


class ConnectionFactory(Protocol):
    """Creates the protocol of a new connection."""

    def __call__(self, relayed_client: str | None = None) -> asyncio.Protocol:
        """Returns the protocol. *relayed_client* is the source in the PROXY header.

        None: the connection has no such header. "": the header names no address.
        """
        ...


class RelayedConnections:
    """Makes accepted sockets HTTP connections. Those of *networks* must begin with a PROXY header.

    *limits* has the time for the header, and for the TLS handshake after it.
    """

    def __init__(
        self,
        networks: tuple[str, ...],
        limits: ConnectionLimits,
        idle: IdleConnections,
        state: ServerState,
        metrics: Metrics,
        make_connection: ConnectionFactory,
    ) -> None:
        self._networks, self._limits = networks, limits
        self._idle, self._state, self._metrics = idle, state, metrics
        self._make_connection = make_connection
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, listener: socket.socket, context: ssl.SSLContext | None) -> "SocketAcceptor":
        """Starts to accept connections on *listener*, with TLS if *context* is not None."""

        def accepted(connection: socket.socket, address: object) -> None:
            # A unix socket's address is a text.
            peer = str(address[0]) if isinstance(address, tuple) else UNIX
            self._accept(connection, peer.removeprefix("::ffff:"), context)

        return SocketAcceptor(listener, accepted)

    def _accept(self, connection: socket.socket, peer: str, context: ssl.SSLContext | None) -> None:
        if not is_trusted(self._networks, peer):
            self._serve(connection, context, None)
            return
        PendingHeader(
            connection,
            peer,
            self._limits,
            self._idle,
            self._state,
            self._metrics,
            lambda source: self._serve(connection, context, source),
        ).start()

    def _serve(
        self, connection: socket.socket, context: ssl.SSLContext | None, relayed_client: str | None
    ) -> None:
        """Starts TLS and HTTP on *connection*."""
        task = asyncio.get_running_loop().create_task(
            self._connect(connection, context, relayed_client)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(
        self, connection: socket.socket, context: ssl.SSLContext | None, relayed_client: str | None
    ) -> None:
        tls: dict[str, Any] = {}
        if context is not None:
            tls = {"ssl": context, "ssl_handshake_timeout": self._limits.read_header or None}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make_connection(relayed_client), connection, **tls
            )
        except OSError:
            # The handshake has failed or the client has disconnected. asyncio closes the socket.
            connection.close()


class SocketAcceptor:
    """Accepts connections on *listener*, and passes each with its address to *accepted*."""

    def __init__(
        self, listener: socket.socket, accepted: Callable[[socket.socket, object], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener, self._accepted = listener, accepted
        self._closed = False
        listener.setblocking(False)
        self._start()

    def close(self) -> None:
        """Stops accepting connections. The listener itself stays open."""
        self._closed = True
        self._loop.remove_reader(self._listener)

    def _start(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accepts the waiting connections. Other workers may accept some of them."""
        for _ in range(_MAX_ACCEPTS_PER_EVENT):
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if error.errno in _SHORTAGES:
                    log_error(f"cannot accept connections: {os.strerror(error.errno)}")
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(_SHORTAGE_SECONDS, self._start)
                return  # there is none left, or it was closed before it was accepted
            connection.setblocking(False)
            self._accepted(connection, address)
