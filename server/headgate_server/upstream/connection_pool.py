"""HTTP client with a connection pool for each upstream address.

The client decompresses nothing, follows no redirects and stores no cookies. It sends the caller's
headers, and adds only the headers that HTTP/1.1 requires.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from headgate_server.http.eager_batch import enter_task
from headgate_server.upstream.connection import Body, Headers, HTTPConnection
from headgate_server.upstream.errors import (
    PoolExhausted,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnreachable,
)

_MAX_IDLE_SECONDS = 15.0
_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The limits of a connection pool.

    *connect_seconds* limits the time to obtain a connection, and *read_seconds* the time without
    data (0: no limit). *max_connections* limits the connections to one address. *tls_context*
    replaces the default TLS context.
    """

    connect_seconds: float
    read_seconds: float
    max_connections: int
    tls_context: ssl.SSLContext | None = None


def load_tls_context(path: str) -> ssl.SSLContext | None:
    """Returns a TLS context that trusts the certificates in the PEM file *path*; None for "".

    Raises ValueError if the file is unreadable or invalid.
    """
    if not path:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "invalid PEM"
        raise ValueError(f"tls-ca: {reason}") from None


def connect_failure_reason(error: Exception, seconds: float) -> str:
    """Returns, for the log, why *error* prevented a connection. *seconds* is the timeout."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or 'no handshake'}"
        case socket.gaierror():
            return str(error.strerror)
        case OSError(errno=int(number)):
            return os.strerror(number)
        case TimeoutError():
            return f"no connection within {seconds:g} s"
    return type(error).__name__


def _ignore_change(change: int) -> None:
    """Does nothing: the default for callbacks that count open responses or received bytes."""


class UpstreamResponse:
    """A response of an upstream store: the head is complete, and the body may still arrive.

    The caller must `close` the response.
    """

    def __init__(
        self,
        connection: HTTPConnection,
        on_close: Callable[[HTTPConnection], None],
        address: str = "",
    ) -> None:
        self._connection: HTTPConnection | None = connection
        self.address = address
        self._on_close = on_close
        self.status = connection.status
        self.headers = connection.headers
        self._fields = connection.fields

    def header(self, name: str) -> str:
        """Returns the first header *name*, in any case of letters, or ""."""
        return self._fields.get(name.lower().encode(), b"").decode("latin-1")

    async def iter_chunks(self) -> AsyncIterator[bytes]:
        """Yields the body in chunks as they arrive.

        Raises UpstreamTimeout, UpstreamProtocolError.
        """
        connection = self._connection
        assert connection is not None
        try:
            while chunk := await connection.read_chunk():
                yield chunk
        except UpstreamError as error:
            error.address = self.address
            raise

    def protocol_error(self, reason: str) -> UpstreamProtocolError:
        """Returns the error for an invalid response; *reason* is for the log."""
        error = UpstreamProtocolError(reason)
        error.address = self.address
        return error

    async def read(
        self, max_bytes: int, count_bytes: Callable[[int], None] = _ignore_change
    ) -> bytes:
        """Returns the whole body, and closes the response.

        Calls *count_bytes* with the size of each chunk. Raises UpstreamProtocolError if the body
        has more than *max_bytes* bytes or is incomplete. Raises also UpstreamTimeout.
        """
        connection = self._connection
        assert connection is not None
        chunks: list[bytes] = []
        size = 0
        try:
            while not connection.at_end:
                chunk = await connection.read_chunk()
                chunks.append(chunk)
                size += len(chunk)
                count_bytes(len(chunk))
                if size > max_bytes:
                    raise UpstreamProtocolError(f"an answer of more than {max_bytes} bytes")
        except UpstreamError as error:
            error.address = self.address
            raise
        finally:
            self.close()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Returns the connection to the pool if the response is complete, else closes it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._on_close(connection)


class HostPool:
    """The connections to one address: connections in use and idle connections."""

    def __init__(self, url: str, limits: PoolLimits) -> None:
        parts = urlsplit(url)
        self.path_prefix = parts.path.rstrip("/")
        self.host = parts.netloc
        self._name, self._limits = parts.hostname or "", limits
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = limits.tls_context or ssl.create_default_context()
        self.connections: set[HTTPConnection] = set()
        self.idle_connections: list[HTTPConnection] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def take_idle(self) -> HTTPConnection | None:
        """Returns an idle connection, or None if all are in use."""
        while self.idle_connections:
            connection = self.idle_connections.pop()
            if connection.reusable:
                connection.reused = True
                return connection
            self._discard(connection)
        return None

    async def acquire(self, *, new: bool = False) -> HTTPConnection:
        """Returns an idle connection. Opens a connection if all are in use, or if *new* is True.

        Waits while the address has `max_connections` connections and all are in use. Raises
        PoolExhausted if the wait is too long, UpstreamUnreachable if no connection can be opened.
        """
        while len(self.connections) >= self._limits.max_connections and not self.idle_connections:
            await self._wait_for_connection()
        found = self.take_idle() if not new else None
        return found or await self._connect()

    async def _wait_for_connection(self) -> None:
        """Waits until a connection is available, at most `connect_seconds` seconds.

        Raises PoolExhausted.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await enter_task()
            async with asyncio.timeout(self._limits.connect_seconds or None):
                await waiter
        except TimeoutError:
            raise PoolExhausted(f"{self._limits.max_connections} connections are busy") from None

    async def _connect(self) -> HTTPConnection:
        if self._closed:
            raise UpstreamUnreachable("the pool is closed")
        loop = asyncio.get_running_loop()
        connection = HTTPConnection(self._limits.read_seconds)
        self.connections.add(connection)
        try:
            await enter_task()
            async with asyncio.timeout(self._limits.connect_seconds or None):
                await loop.create_connection(
                    lambda: connection,
                    self._name,
                    self._port,
                    ssl=self._tls,
                )
        except (OSError, TimeoutError) as error:
            self._discard(connection)
            raise UpstreamUnreachable(
                connect_failure_reason(error, self._limits.connect_seconds)
            ) from None
        except BaseException:
            self._discard(connection)
            raise
        if self._closed:  # meanwhile
            self._discard(connection)
            raise UpstreamUnreachable("the pool is closed")
        return connection

    def release(self, connection: HTTPConnection) -> None:
        """Makes *connection* available for the next request if it is reusable, else closes it."""
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self.idle_connections.append(connection)
            self._wake_next()
        else:
            self._discard(connection)

    def _wake_next(self) -> None:
        """Wakes the first request that waits for a connection."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def _discard(self, connection: HTTPConnection) -> None:
        self.connections.discard(connection)
        connection.close()
        self._wake_next()

    def close_expired(self, now: float) -> None:
        """Fails requests after their read timeout, and closes connections that were idle for 15 s.

        *now* is the time by the loop's clock.
        """
        for connection in self.connections:
            connection.check_timeout(now)
        kept = [
            w
            for w in self.idle_connections
            if w.reusable and now - w.idle_since < _MAX_IDLE_SECONDS
        ]
        for connection in set(self.idle_connections) - set(kept):
            self._discard(connection)
        self.idle_connections = kept

    def close(self) -> None:
        """Closes all connections immediately, even those in use. Afterwards, none can be opened."""
        self._closed = True
        for connection in list(self.connections):
            self._discard(connection)
        self.idle_connections.clear()


class ConnectionPool:
    """The connection pools of one upstream's addresses. Create it in the event loop that uses it.

    *on_change* counts open responses. It is called with 1 when the head of a response has arrived,
    and with -1 when the response is closed.
    """

    def __init__(
        self, limits: PoolLimits, on_change: Callable[[int], None] = _ignore_change
    ) -> None:
        self.limits = limits
        self._pools: dict[str, HostPool] = {}
        self._open_responses = self._requests_in_flight = 0
        self._on_change = on_change
        self._closed = False
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._sweep_interval_seconds = min(
            _SWEEP_SECONDS, (limits.read_seconds or _SWEEP_SECONDS) / 4
        )

    async def send(
        self,
        method: str,
        address: str,
        target: str,
        headers: Headers,
        body: Body = None,
        *,
        idempotent: bool = False,
    ) -> UpstreamResponse:
        """Sends a request and returns the response as soon as its head has arrived.

        *address* is the base URL of a server, *target* the path and query. An *idempotent* request
        is sent again, on a new connection, if a reused connection closes before any response.
        Raises UpstreamUnreachable, UpstreamTimeout, UpstreamProtocolError, PoolExhausted.
        """
        if self._closed:
            raise UpstreamUnreachable("the pool is closed")
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = HostPool(address, self.limits)
        target = pool.path_prefix + target
        self._requests_in_flight += 1
        try:
            connection = pool.take_idle() or await pool.acquire()
            self._schedule_sweep()
            while True:
                try:
                    await connection.send(method, target, pool.host, headers, body)
                    break
                except BaseException as error:
                    connection.close()
                    pool.release(connection)
                    broken = isinstance(error, UpstreamProtocolError) and connection.reused
                    if not (idempotent and broken and not connection.response_started):
                        raise
                connection = await pool.acquire(new=True)
        finally:
            self._requests_in_flight -= 1
        self.change_open(1)
        return UpstreamResponse(connection, partial(self._release, pool), address)

    def _release(self, pool: HostPool, connection: HTTPConnection) -> None:
        pool.release(connection)
        self.change_open(-1)

    @property
    def busy(self) -> bool:
        """Whether any request is in flight or any response is still open."""
        return self._open_responses > 0 or self._requests_in_flight > 0

    def change_open(self, change: int) -> None:
        """Adds *change* to the number of open responses, and reports it to the callback."""
        self._open_responses += change
        self._on_change(change)

    def _schedule_sweep(self) -> None:
        if self._sweep_timer is None:
            self._sweep_timer = asyncio.get_running_loop().call_later(
                self._sweep_interval_seconds, self._run_sweep
            )

    def _run_sweep(self) -> None:
        self._sweep_timer = None
        now = asyncio.get_running_loop().time()
        for pool in self._pools.values():
            pool.close_expired(now)
        if any(pool.connections for pool in self._pools.values()):
            self._schedule_sweep()

    def close(self) -> None:
        """Closes all connections immediately, even those in use. Afterwards, none can be opened."""
        self._closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        for pool in self._pools.values():
            pool.close()
