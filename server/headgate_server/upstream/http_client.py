"""HTTP client that fetches small documents, such as key sets, through a `ConnectionPool`."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from headgate_server.http.eager_batch import enter_task
from headgate_server.upstream.connection_pool import ConnectionPool, PoolLimits
from headgate_server.upstream.errors import UpstreamProtocolError, UpstreamTimeout

_MAX_CONNECTIONS = 8
# What RFC 3986 allows in a path or a query, and `%`, which begins an octet that is encoded already.
_PATH_CHARACTERS = "/:@!$&'()*+,;=-._~%"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?"


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A complete response."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str:
        """Returns the values of all header fields *name*, in any case, joined by commas."""
        wanted = name.lower().encode()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return b",".join(values).decode("latin-1")


class HTTPClient:
    """Fetches whole documents. Follows no redirects, uses no proxies and stores no cookies.

    A request fails if it takes more than *total_seconds*, or if the connection takes more than
    *connect_seconds*. A body has at most *max_bytes*. *tls_context* replaces the default TLS
    context, which verifies certificates and host names. All requests must run in one event loop.
    """

    def __init__(
        self,
        connect_seconds: float,
        total_seconds: float,
        max_bytes: int,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._total_seconds, self._max_bytes = total_seconds, max_bytes
        self._pool = ConnectionPool(
            PoolLimits(connect_seconds, total_seconds, _MAX_CONNECTIONS, tls_context)
        )

    async def get(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        """Sends GET to *url* and returns the response, of any status.

        The reason of an error never contains *url* or *headers*. Raises UpstreamUnreachable,
        UpstreamTimeout, UpstreamProtocolError, PoolExhausted; ValueError for an invalid URL.
        """
        return await self._send("GET", url, headers, None)

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> HTTPResponse:
        """Sends POST with *body* to *url* and returns the response. Otherwise as `get`."""
        return await self._send("POST", url, headers, body)

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> HTTPResponse:
        await enter_task()  # a timeout needs one
        address, target = split_url(url)
        own = [("User-Agent", "headgate"), ("Accept-Encoding", "identity")]
        fields = [*own, *headers.items()]
        try:
            async with asyncio.timeout(self._total_seconds):
                response = await self._pool.send(
                    method, address, target, fields, body, idempotent=body is None
                )
                # `read` closes the response.
                content = await response.read(self._max_bytes)
        except TimeoutError:
            raise UpstreamTimeout(f"no complete answer within {self._total_seconds:g} s") from None
        if response.header("content-encoding").strip(" \t").lower() not in ("", "identity"):
            raise UpstreamProtocolError("its answer is compressed, which was not requested")
        return HTTPResponse(response.status, response.headers, content)

    def close(self) -> None:
        """Closes all connections immediately, even those in use."""
        self._pool.close()


def split_url(url: str) -> tuple[str, str]:
    """Returns the base address and the request target of *url*, both in ASCII.

    The fragment is dropped. A host name beyond ASCII is encoded by IDNA, other characters with `%`.
    Raises ValueError for an invalid port, or a host name that cannot be encoded.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    authority = f"[{host}]" if ":" in host else host.encode("idna").decode()
    if port is not None:
        authority = f"{authority}:{port}"
    target = quote(parts.path, safe=_PATH_CHARACTERS) or "/"
    if parts.query:
        target += "?" + quote(parts.query, safe=_QUERY_CHARACTERS)
    return f"{parts.scheme}://{authority}", target
