"""WebSocket client for upstream stores, on aiohttp."""

import asyncio
import ssl
from collections.abc import Callable, Sequence

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from headgate_server.upstream.connection import Headers
from headgate_server.upstream.connection_pool import PoolLimits, connect_failure_reason
from headgate_server.upstream.errors import (
    HandshakeRejected,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_MAX_MESSAGE_BYTES = 1 << 24


class UpstreamWebSocket:
    """An open WebSocket. The caller must `close` it.

    *on_change* counts open WebSockets. It is called with 1 at the creation, and with -1 by `close`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        on_change: Callable[[int], None],
    ) -> None:
        self._session, self._socket, self._on_change = session, socket, on_change
        self.protocol = socket.protocol
        on_change(1)

    async def receive(self) -> str | bytes | None:
        """Returns the next message; None once the WebSocket is closed."""
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            content: str | bytes = message.data
            return content
        return None

    async def send(self, message: str | bytes) -> None:
        """Sends *message* as text or binary. Raises UpstreamProtocolError."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (ConnectionError, aiohttp.ClientError):
            raise UpstreamProtocolError from None

    @property
    def close_code(self) -> int:
        """The close code (RFC 6455, 7.4), or 1006 if the store has sent no close code."""
        return self._socket.close_code or 1006

    async def close(self) -> None:
        """Closes the WebSocket and its connection."""
        self._on_change(-1)
        await self._socket.close()
        await self._session.close()


def _reject_redirects() -> aiohttp.TraceConfig:
    """Returns a hook that raises HandshakeRejected at a redirect.

    The target of the redirect would receive the identity headers.
    """

    async def refuse(*_: object) -> None:
        raise HandshakeRejected(302)

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


async def open_websocket(
    url: str,
    headers: Headers,
    protocols: Sequence[str],
    limits: PoolLimits,
    on_change: Callable[[int], None],
) -> UpstreamWebSocket:
    """Opens a WebSocket to *url*.

    Raises UpstreamUnreachable, UpstreamTimeout, UpstreamProtocolError; HandshakeRejected if the
    server rejects the handshake.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=limits.tls_context if limits.tls_context is not None else True
        ),
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_seconds or None),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[_reject_redirects()],
    )
    timeout_seconds = (
        limits.connect_seconds + limits.read_seconds
        if limits.connect_seconds and limits.read_seconds
        else None
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            socket = await session.ws_connect(
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                protocols=protocols,
                max_msg_size=_MAX_MESSAGE_BYTES,
                compress=0,
            )
    except BaseException as error:
        await session.close()
        match error:
            case aiohttp.WSServerHandshakeError():
                raise HandshakeRejected(error.status) from None
            case aiohttp.ConnectionTimeoutError():
                raise UpstreamUnreachable(
                    connect_failure_reason(TimeoutError(), limits.connect_seconds)
                ) from None
            case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as cause):
                raise UpstreamUnreachable(
                    connect_failure_reason(cause, limits.connect_seconds)
                ) from None
            case aiohttp.ClientConnectorError():
                raise UpstreamUnreachable(
                    connect_failure_reason(error.os_error, limits.connect_seconds)
                ) from None
            case TimeoutError():
                raise UpstreamTimeout("no WebSocket") from None
            case aiohttp.ClientError() | ValueError():
                raise UpstreamProtocolError("no WebSocket") from None
        raise
    return UpstreamWebSocket(session, socket, on_change)
