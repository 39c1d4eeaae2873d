"""WebSocket client for upstream stores, on websockets."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from headgate_server.upstream.connection import Headers
from headgate_server.upstream.connection_pool import PoolLimits, connect_failure_reason
from headgate_server.upstream.errors import (
    HandshakeRejected,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_MAX_MESSAGE_BYTES = 1 << 24
# A store that is gone is detected by its silence: a healthy store answers each ping.
_PING_SECONDS, _PONG_SECONDS = 20.0, 60.0
_CLOSE_SECONDS = 5.0


class UpstreamWebSocket:
    """An open WebSocket. The caller must `close` it.

    *on_change* counts open WebSockets. It is called with 1 at the creation, and with -1 by `close`.
    """

    def __init__(self, connection: ClientConnection, on_change: Callable[[int], None]) -> None:
        self._connection, self._on_change = connection, on_change
        self.protocol: str | None = connection.subprotocol
        # The close code (RFC 6455, 7.4), or 1006 while there is none.
        self.close_code = 1006
        on_change(1)

    async def receive(self) -> str | bytes | None:
        """Returns the next message; None once the WebSocket is closed."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            frame = closed.rcvd or closed.sent
            if frame is not None:
                self.close_code = frame.code
            return None

    async def send(self, message: str | bytes) -> None:
        """Sends *message* as text or binary. Raises UpstreamProtocolError."""
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            raise UpstreamProtocolError("the WebSocket is closed") from None

    async def close(self) -> None:
        """Closes the WebSocket and its connection."""
        self._on_change(-1)
        await self._connection.close()


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """Returns *exc* to follow no redirect: its target would receive the identity headers."""
        return exc


class _Connection(ClientConnection):
    """A connection that calls *on_connected* when TCP and TLS are established."""

    on_connected: Callable[[], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.on_connected()
        super().connection_made(transport)


async def open_websocket(
    url: str,
    headers: Headers,
    protocols: Sequence[str],
    limits: PoolLimits,
    on_change: Callable[[int], None],
) -> UpstreamWebSocket:
    """Opens a WebSocket to *url*, an address of the scheme http or https.

    *protocols* are the subprotocols to offer. *on_change* counts open WebSockets, as in
    `UpstreamWebSocket`. Uses no proxy and follows no redirects. Raises UpstreamUnreachable,
    UpstreamTimeout, UpstreamProtocolError; HandshakeRejected if the server rejects the handshake.
    """
    headers = list(headers)
    if any(character in text for pair in headers for text in pair for character in "\r\n\0"):
        raise UpstreamProtocolError("a header with a line end")
    connected = False
    connecting = asyncio.timeout(limits.connect_seconds or None)

    def start_read_timeout() -> None:
        nonlocal connected
        connected = True
        if connecting.expired():
            return
        now = asyncio.get_running_loop().time()
        connecting.reschedule(now + limits.read_seconds if limits.read_seconds else None)

    def create_connection(*args: Any, **options: Any) -> _Connection:
        connection = _Connection(*args, **options)
        connection.on_connected = start_read_timeout
        return connection

    tls: dict[str, Any] = {}
    if limits.tls_context is not None and url.startswith("https:"):
        tls["ssl"] = limits.tls_context
    try:
        async with connecting:
            connection = await _Connect(
                "ws" + url.removeprefix("http"),
                additional_headers=headers,
                user_agent_header=None,  # the client's is in *headers*
                subprotocols=cast(Sequence[Subprotocol], protocols) or None,
                compression=None,
                proxy=None,
                open_timeout=None,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PONG_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                max_size=_MAX_MESSAGE_BYTES,
                create_connection=cast(type[ClientConnection], create_connection),
                **tls,
            )
    except InvalidStatus as error:
        raise HandshakeRejected(error.response.status_code) from None
    except WebSocketException:
        raise UpstreamProtocolError("no WebSocket") from None
    except (OSError, TimeoutError) as error:
        if not connected:
            raise UpstreamUnreachable(
                connect_failure_reason(error, limits.connect_seconds)
            ) from None
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout("no WebSocket") from None
        raise UpstreamProtocolError("no WebSocket") from None
    except ValueError:  # a subprotocol or a header that cannot be sent
        raise UpstreamProtocolError("no WebSocket") from None
    return UpstreamWebSocket(connection, on_change)
