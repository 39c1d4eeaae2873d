"""HTTP client with a connection pool for each upstream address.

It decompresses nothing, follows no redirects, stores no cookies, and sends the caller's headers
only, plus what HTTP/1.1 requires.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from headgate_server.upstream.connection import Body, Headers, Wire
from headgate_server.upstream.errors import Broken, Full, Unreachable, UpstreamError

_IDLE_SECONDS = 15.0
_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a pool: seconds to connect, seconds without data (0: no limit), and the maximum
    number of connections to one address; *tls* replaces the default TLS context.
    """

    connect: float
    read: float
    most: int
    tls: ssl.SSLContext | None = None


def tls(path: str) -> ssl.SSLContext | None:
    """Returns a TLS context that trusts the PEM file *path*; None for "". Raises ValueError."""
    if not path:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "invalid PEM"
        raise ValueError(f"tls-ca: {reason}") from None


def reason(error: Exception, seconds: float) -> str:
    """Returns the reason, for the log, why no connection was made within *seconds*."""
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


def _nothing(change: int) -> None:
    """Ignores the change: the default for callers that need no count."""


class Incoming:
    """An upstream's response whose body may still arrive. The caller must `close` it."""

    def __init__(self, wire: Wire, closed: Callable[[Wire], None], address: str = "") -> None:
        self._wire: Wire | None = wire
        self.address = address
        self._closed = closed
        self.status = wire.status
        self.headers = wire.headers

    def header(self, name: str) -> str:
        """Returns the first header *name*, in any case of letters, or ""."""
        wanted = name.lower().encode()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return ""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yields the body in chunks as they arrive. Raises Silent, Broken."""
        while piece := await self._part():
            yield piece

    async def _part(self) -> bytes:
        assert self._wire is not None
        try:
            return await self._wire.part()
        except UpstreamError as error:
            error.address = self.address
            raise

    def broken(self, reason: str) -> Broken:
        """Returns the error for an invalid response; *reason* is for the log."""
        error = Broken(reason)
        error.address = self.address
        return error

    async def read(self, most: int, grow: Callable[[int], None] = _nothing) -> bytes:
        """Returns the whole body and closes the response. *grow* is called with each chunk's size.

        Raises Broken if the body has more than *most* bytes or is incomplete; Silent.
        """
        parts: list[bytes] = []
        size = 0
        try:
            while part := await self._part():
                parts.append(part)
                size += len(part)
                grow(len(part))
                if size > most:
                    raise self.broken(f"an answer of more than {most} bytes")
        finally:
            self.close()
        return b"".join(parts)

    def close(self) -> None:
        """Returns the connection to the pool after a complete response, else closes it."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            self._closed(wire)


class _Address:
    """The connection pool of one address."""

    def __init__(self, url: str, limits: Limits) -> None:
        parts = urlsplit(url)
        self.prefix = parts.path.rstrip("/")
        self.host = parts.netloc
        self._name, self._limits = parts.hostname or "", limits
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = limits.tls or ssl.create_default_context()
        self.open: set[Wire] = set()
        self.idle: list[Wire] = []
        self._queue: deque[asyncio.Future[None]] = deque()

    async def wire(self, *, new: bool = False) -> Wire:
        """Returns a connection: an idle one if possible, unless *new*. Raises Unreachable, Full."""
        while len(self.open) >= self._limits.most and not self.idle:
            await self._turn()
        while self.idle and not new:
            wire = self.idle.pop()
            if wire.fresh:
                wire.used = True
                return wire
            self._drop(wire)
        return await self._connect()

    async def _turn(self) -> None:
        """Waits until a connection is available, at most `connect` seconds. Raises Full."""
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._limits.connect or None):
                await turn
        except TimeoutError:
            raise Full(f"{self._limits.most} connections are busy") from None

    async def _connect(self) -> Wire:
        loop = asyncio.get_running_loop()
        wire = Wire(self._limits.read)
        self.open.add(wire)
        try:
            async with asyncio.timeout(self._limits.connect or None):
                await loop.create_connection(
                    lambda: wire,
                    self._name,
                    self._port,
                    ssl=self._tls,
                )
        except (OSError, TimeoutError) as error:
            self._drop(wire)
            raise Unreachable(reason(error, self._limits.connect)) from None
        except BaseException:
            self._drop(wire)
            raise
        return wire

    def give_back(self, wire: Wire) -> None:
        if wire.fresh:
            wire.idle_since = asyncio.get_running_loop().time()
            self.idle.append(wire)
            self._next()
        else:
            self._drop(wire)

    def _next(self) -> None:
        """Wakes the first request that waits for a connection."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                break

    def _drop(self, wire: Wire) -> None:
        self.open.discard(wire)
        wire.close()
        self._next()

    def check(self, now: float) -> None:
        """Fails requests without data for too long, and closes connections idle for too long."""
        for wire in self.open:
            wire.check(now)
        kept = [w for w in self.idle if w.fresh and now - w.idle_since < _IDLE_SECONDS]
        for wire in set(self.idle) - set(kept):
            self._drop(wire)
        self.idle = kept

    def close(self) -> None:
        for wire in list(self.open):
            self._drop(wire)
        self.idle.clear()


class Client:
    """The connection pools of one upstream's addresses. Create it in the event loop that uses it.

    *changed* is called with 1 when a response begins, and with -1 when it ends.
    """

    def __init__(self, limits: Limits, changed: Callable[[int], None] = _nothing) -> None:
        self.limits = limits
        self._addresses: dict[str, _Address] = {}
        self._open = self._asking = 0
        self._changed = changed
        self._sweep: asyncio.TimerHandle | None = None
        self._every = min(_SWEEP_SECONDS, (limits.read or _SWEEP_SECONDS) / 4)

    async def send(
        self,
        method: str,
        address: str,
        target: str,
        headers: Headers,
        body: Body = None,
        *,
        again: bool = False,
    ) -> Incoming:
        """Sends a request and returns the response as soon as its head has arrived.

        With *again* (for an idempotent request), it is retried on a new connection if a reused one
        closes before any response. Raises Unreachable, Silent, Broken, Full.
        """
        self._asking += 1
        try:
            return await self._send(method, address, target, headers, body, again)
        finally:
            self._asking -= 1

    async def _send(
        self, method: str, address: str, target: str, headers: Headers, body: Body, again: bool
    ) -> Incoming:
        there = self._addresses.get(address)
        if there is None:
            there = self._addresses[address] = _Address(address, self.limits)
        wire = await there.wire()
        try:
            await self._ask(there, wire, method, target, headers, body)
        except Broken:
            if not (again and wire.used and not wire.answered):
                raise
            wire = await there.wire(new=True)
            await self._ask(there, wire, method, target, headers, body)
        self.opens(1)
        return Incoming(wire, lambda wire: self._closed(there, wire), address)

    async def _ask(
        self,
        there: _Address,
        wire: Wire,
        method: str,
        target: str,
        headers: Headers,
        body: Body,
    ) -> None:
        self._keep_sweeping()
        try:
            await wire.send(method, there.prefix + target, there.host, headers, body)
        except BaseException:
            wire.close()
            there.give_back(wire)
            raise

    def _closed(self, there: _Address, wire: Wire) -> None:
        there.give_back(wire)
        self.opens(-1)

    @property
    def busy(self) -> bool:
        """Whether any request is in flight or any response is still open."""
        return self._open > 0 or self._asking > 0

    def opens(self, change: int) -> None:
        """Adds *change* to the number of open responses, and reports it."""
        self._open += change
        self._changed(change)

    def _keep_sweeping(self) -> None:
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._every, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        now = asyncio.get_running_loop().time()
        for address in self._addresses.values():
            address.check(now)
        if any(address.open for address in self._addresses.values()):
            self._keep_sweeping()

    def close(self) -> None:
        """Closes all connections at once."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for address in self._addresses.values():
            address.close()
