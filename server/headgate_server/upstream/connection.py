"""One HTTP/1.1 client connection, for one request at a time, on httptools.

Limited to what a gateway needs: it costs a third of a general HTTP library. httptools, in its
strict mode, decides whether a response is valid.
"""

import asyncio
import math
from collections.abc import AsyncIterable, Iterable
from typing import cast

import httptools

from headgate_server.http.write_buffer import outbox
from headgate_server.upstream.errors import Broken, Silent, UpstreamError

Headers = Iterable[tuple[str, str]]
Body = bytes | AsyncIterable[bytes] | None

# Unread bytes of a response above which reading from the connection is paused.
_HIGH_WATER = 1 << 17
_LARGEST_HEAD = 1 << 18
_NO_BODY = (204, 304)


class Wire(asyncio.Protocol):
    """A connection. After the end of a response it can be reused if it is *fresh*.

    At *deadline*, by the loop's clock, it has received no data for too long.
    """

    def __init__(self, read_timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox()
        self._read_timeout = read_timeout
        self.transport: asyncio.Transport | None = None
        self.used = False  # by an earlier request
        self.idle_since = 0.0
        self.deadline = math.inf
        self.lost = False
        self._writable: asyncio.Future[None] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._begin("")

    def _begin(self, method: str) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._paused = False
        self._in_body = False
        self._complete = not method
        self._until_end = False  # the response has no length: it ends with the connection
        self._keep = False
        self._error: UpstreamError | None = None
        self._waiting: asyncio.Future[None] | None = None

    # ---- requests

    async def send(self, method: str, target: str, host: str, headers: Headers, body: Body) -> None:
        """Sends a request, and waits for the head of the response. Raises Broken, Silent."""
        self._begin(method)
        transport = self.transport
        assert transport is not None
        self._outbox.put(transport, _head(method, target, host, headers, body))
        if body is None or isinstance(body, bytes):
            self._touch()
        else:
            chunked = not any(name.lower() == "content-length" for name, _ in headers)
            self._upload = self._loop.create_task(self._send_body(body, chunked))
        while not self._headed and self._error is None:
            await self._wait()
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()  # the server responded before the end of the body
            self._keep = False
        if self._error is not None:
            raise self._error

    async def _send_body(self, body: AsyncIterable[bytes], chunked: bool) -> None:
        assert self.transport is not None
        try:
            async for piece in body:
                if chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                self._outbox.put(self.transport, piece)
                if self._writable is not None:
                    self._touch()
                    await self._writable
                    self.deadline = math.inf  # it waits for the client, not the server
            if chunked:
                self._outbox.put(self.transport, b"0\r\n\r\n")
            self._touch()
        except asyncio.CancelledError:
            raise
        except Exception:  # Upload keeps the error itself
            self._fail(Broken("the request's body broke off"))

    async def part(self) -> bytes:
        """Returns the next chunk of the response body; b"" at its end. Raises Broken, Silent."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._complete:
                return b""
            await self._wait()
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
            self._touch()
        return whole

    async def _wait(self) -> None:
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _touch(self) -> None:
        """Restarts the read timeout."""
        if self._read_timeout:
            self.deadline = self._loop.time() + self._read_timeout

    @property
    def _headed(self) -> bool:
        return self._until_end or self._complete or self._in_body

    @property
    def fresh(self) -> bool:
        """Whether the connection can be reused for another request."""
        return self._complete and self._keep and not self.lost and self._error is None

    @property
    def answered(self) -> bool:
        """Whether any data of a response has arrived."""
        return self.status > 0 or self._size > 0

    def close(self) -> None:
        """Aborts the connection, and an upload in progress."""
        if self._upload is not None:
            self._upload.cancel()
        if self.transport is not None:
            self.transport.abort()

    def check(self, now: float) -> None:
        """Fails with Silent if the deadline has passed, unless reading is paused."""
        if now >= self.deadline and not self._complete and not self._paused:
            self._fail(Silent(f"silent for {self._read_timeout:g} s"))

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None and not self._complete:
            self._error = error
        self._keep = False
        self.deadline = math.inf
        self.close()
        self._wake()

    # ---- callbacks of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stores the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has another base class

    def data_received(self, data: bytes) -> None:
        """Parses *data*; unsolicited data closes the connection."""
        if self._complete:
            self._keep = False  # no request is in flight
            self.close()
            return
        self._touch()
        if not self._headed:
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Broken("its answer is not HTTP"))  # an unrequested upgrade is invalid, too
            return
        if not self._headed and self._size > _LARGEST_HEAD:
            self._fail(Broken("the head of its answer is too large"))

    def eof_received(self) -> bool:
        """Returns False: asyncio then closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Completes a response that ends with the connection; any other one fails with Broken."""
        self.lost = True
        if self._until_end and exc is None:
            self._complete = True
        elif not self._complete and self._error is None:
            self._error = Broken("it closed the connection")
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        """Makes the upload wait: the transport's write buffer is full."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Lets the upload continue."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # ---- callbacks of httptools

    def on_message_begin(self) -> None:
        """Prevents reuse of the connection if a second response begins."""
        if self._complete:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Stores a header."""
        if not self._complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decides whether a body follows, and wakes `send`; ignores a 1xx response."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            return
        if status > 599:
            self._fail(Broken(f"status {status}"))
            return
        self.status = status
        self._in_body = True
        self._keep = self._parser.should_keep_alive()
        names = {name.lower() for name, _ in self.headers}
        bodiless = self._method == "HEAD" or status in _NO_BODY
        self._until_end = not (
            bodiless or b"content-length" in names or b"transfer-encoding" in names
        )
        if self._method == "HEAD":
            # httptools would wait for a body, which a response to HEAD lacks.
            self._keep = False
            self._end()
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Stores a chunk; pauses reading if more than 128 KiB are unread."""
        if self._complete:
            return
        self._parts.append(body)
        self._held += len(body)
        if self._held > _HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Ends the response, unless it is a 1xx, which the final response follows."""
        if self._complete:
            return
        if self.status:
            self._end()
        else:
            self.headers.clear()  # those of the 1xx

    def _end(self) -> None:
        self._complete = True
        self.deadline = math.inf
        self._wake()


def _head(method: str, target: str, host: str, headers: Headers, body: Body) -> bytes:
    """Returns a request's head, with its body if that is bytes. Raises Broken for a line end."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if isinstance(body, bytes):
        lines.append(f"Content-Length: {len(body)}")
    elif body is None and method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    elif body is not None and not any(name.lower() == "content-length" for name, _ in headers):
        lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        raise Broken("a header with a line end")  # it would inject another header
    raw = head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return raw + body if isinstance(body, bytes) else raw
