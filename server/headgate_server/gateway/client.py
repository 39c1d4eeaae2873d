"""Requests to other servers, streamed both ways. Knows aiohttp.

Nothing is decompressed, followed, remembered or added on the way: what goes out is what was given.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from headgate_server.failures import Broken, Refused, Silent, Unreachable

Body = bytes | AsyncIterable[bytes] | None
Headers = Iterable[tuple[str, str]]

_IDLE_SECONDS = 15.0
_PIECE = 1 << 16
_LARGEST_MESSAGE = 1 << 24


def _nothing(change: int) -> None:
    """Nobody counts."""


class Reply:
    """An answer whose body is still to come. Give it back with `close`, read or not."""

    def __init__(self, response: aiohttp.ClientResponse, closed: Callable[[], None]) -> None:
        self._response = response
        self._closed = closed
        self._open = True
        self.status = response.status
        self.headers = response.raw_headers

    def header(self, name: str) -> str:
        """The first of that name, or ""."""
        return self._response.headers.get(name, "")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Silent, Broken."""
        content = self._response.content
        try:
            while piece := await content.readany():
                yield piece
        except TimeoutError:
            raise Silent from None
        except aiohttp.ClientError:
            raise Broken from None

    async def read(self, most: int) -> bytes:
        """The whole body, and all of the connection given back. Raises Broken if it has more than
        *most* bytes, or is broken off; Silent.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async for part in self.pieces():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise Broken
        finally:
            self.close()
        return b"".join(parts)

    def close(self) -> None:
        """Gives the connection back if all of it was read; ends it if not."""
        if not self._open:
            return
        self._open = False
        self._response.release() if self._response.content.at_eof() else self._response.close()
        self._closed()


class Client:
    """Connections to one upstream's addresses, kept and used again. Made in the loop that uses it.

    *changed* hears 1 for each answer that begins, and -1 at its end.

    Raises ValueError for a *tls_ca* that cannot be read.
    """

    def __init__(
        self,
        tls_ca: str,
        connect: float,
        read: float,
        most: int,
        changed: Callable[[int], None] = _nothing,
    ) -> None:
        self._tls = _tls(tls_ca)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect or None, sock_read=read or None
        )
        self._most = most
        self._open = 0
        self._changed = changed
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._most,
                    keepalive_timeout=_IDLE_SECONDS,
                    ssl=self._tls if self._tls is not None else True,
                ),
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
                read_bufsize=_PIECE,
            )
        return self._session

    async def send(self, method: str, url: str, headers: Headers, body: Body = None) -> Reply:
        """The answer to one request. Raises Unreachable, Silent, Broken, and what *body* raises."""
        try:
            response = await self._opened().request(
                method,
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
            raise Unreachable from None
        except TimeoutError:
            raise Silent from None
        except (aiohttp.ClientError, ValueError):
            raise Broken from None
        if not 200 <= response.status < 600:
            response.close()
            raise Broken
        self._opens(1)
        return Reply(response, self._closed)

    async def websocket(self, url: str, headers: Headers, protocols: Sequence[str]) -> "Socket":
        """A WebSocket to *url*. Raises Unreachable, Silent, Broken; Refused with its status."""
        try:
            socket = await self._opened().ws_connect(
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                protocols=protocols,
                max_msg_size=_LARGEST_MESSAGE,
                compress=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from None
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
            raise Unreachable from None
        except TimeoutError:
            raise Silent from None
        except (aiohttp.ClientError, ValueError):
            raise Broken from None
        self._opens(1)
        return Socket(socket, self._closed)

    @property
    def busy(self) -> bool:
        """Whether an answer is still being read."""
        return self._open > 0

    def _closed(self) -> None:
        self._opens(-1)

    def _opens(self, change: int) -> None:
        self._open += change
        self._changed(change)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Socket:
    """A WebSocket that is open. End it with `close`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, closed: Callable[[], None]) -> None:
        self._socket, self._closed = socket, closed
        self.protocol = socket.protocol

    async def receive(self) -> str | bytes | None:
        """The next message; None when there are no more."""
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            content: str | bytes = message.data
            return content
        return None

    async def send(self, message: str | bytes) -> None:
        """Raises Broken."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (ConnectionError, aiohttp.ClientError):
            raise Broken from None

    @property
    def code(self) -> int:
        """Why it was closed (RFC 6455, section 7.4)."""
        return self._socket.close_code or 1006

    async def close(self) -> None:
        await self._socket.close()
        self._closed()


def _tls(path: str) -> ssl.SSLContext | None:
    if not path:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no PEM"
        raise ValueError(f"tls-ca: {reason}") from None
