"""WebSocket client for upstream stores, on aiohttp."""

import asyncio
import ssl
from collections.abc import Callable, Sequence

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from headgate_server.upstream.connection import Headers
from headgate_server.upstream.connection_pool import Limits, reason
from headgate_server.upstream.errors import Broken, Refused, Silent, Unreachable

_LARGEST_MESSAGE = 1 << 24


class Socket:
    """An open WebSocket. The caller must `close` it. *changed* is called with 1 now, -1 then."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        changed: Callable[[int], None],
    ) -> None:
        self._session, self._socket, self._changed = session, socket, changed
        self.protocol = socket.protocol
        changed(1)

    async def receive(self) -> str | bytes | None:
        """Returns the next message; None once the WebSocket is closed."""
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            content: str | bytes = message.data
            return content
        return None

    async def send(self, message: str | bytes) -> None:
        """Sends *message* as text or binary. Raises Broken."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (ConnectionError, aiohttp.ClientError):
            raise Broken from None

    @property
    def code(self) -> int:
        """The close code (RFC 6455, 7.4); 1006 if there is none."""
        return self._socket.close_code or 1006

    async def close(self) -> None:
        """Closes the WebSocket and its connection."""
        self._changed(-1)
        await self._socket.close()
        await self._session.close()


def _here_only() -> aiohttp.TraceConfig:
    """Raises Refused at a redirect: its target would receive the identity headers."""

    async def refuse(*_: object) -> None:
        raise Refused(302)

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


async def connect(
    url: str,
    headers: Headers,
    protocols: Sequence[str],
    limits: Limits,
    changed: Callable[[int], None],
) -> Socket:
    """Opens a WebSocket to *url*.

    Raises Unreachable, Silent, Broken; Refused if the server rejects the handshake.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=limits.tls if limits.tls is not None else True),
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect or None),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[_here_only()],
    )
    patience = limits.connect + limits.read if limits.connect and limits.read else None
    try:
        async with asyncio.timeout(patience):
            socket = await session.ws_connect(
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                protocols=protocols,
                max_msg_size=_LARGEST_MESSAGE,
                compress=0,
            )
    except BaseException as error:
        await session.close()
        match error:
            case aiohttp.WSServerHandshakeError():
                raise Refused(error.status) from None
            case aiohttp.ConnectionTimeoutError():
                raise Unreachable(reason(TimeoutError(), limits.connect)) from None
            case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as cause):
                raise Unreachable(reason(cause, limits.connect)) from None
            case aiohttp.ClientConnectorError():
                raise Unreachable(reason(error.os_error, limits.connect)) from None
            case TimeoutError():
                raise Silent("no WebSocket") from None
            case aiohttp.ClientError() | ValueError():
                raise Broken("no WebSocket") from None
        raise
    return Socket(session, socket, changed)
