"""One HTTP/1.1 client connection, for one request at a time, on httptools.

The client has only what a gateway needs, and so takes a third of the CPU time of a general HTTP
library. httptools, in its strict mode, decides whether a response is valid.
"""

import asyncio
import math
from collections.abc import AsyncIterable, Iterable
from typing import cast

import httptools

from headgate_server.http.write_buffer import write_buffer
from headgate_server.upstream.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout

Headers = Iterable[tuple[str, str]]
Body = bytes | AsyncIterable[bytes] | None

# Unread bytes of a response above which reading from the connection is paused.
_MAX_BUFFERED_BYTES = 1 << 17
_MAX_HEAD_BYTES = 1 << 18
_BODILESS_STATUSES = (204, 304)


class HTTPConnection(asyncio.Protocol):
    """A connection to one address of an upstream store.

    A request fails if the address sends nothing for *read_timeout* seconds (0: no limit).
    `deadline` is the time, by the loop's clock, at which this timeout expires.
    """

    def __init__(self, read_timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = write_buffer()
        self._read_timeout = read_timeout
        self.transport: asyncio.Transport | None = None
        self.reused = False  # whether an earlier request has used this connection
        self.idle_since = 0.0
        self.deadline = math.inf
        self.closed = False
        self._writable: asyncio.Future[None] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._parser = httptools.HttpResponseParser(self)  # for one response after the other
        self._has_trailers = False
        self._reset("")

    def _reset(self, method: str) -> None:
        if self._has_trailers:  # they change the parser: `Connection: close` ends it
            self._parser, self._has_trailers = httptools.HttpResponseParser(self), False
        self._method = method
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.fields: dict[bytes, bytes] = {}  # the first value of each header
        self._head_bytes = 0
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._paused = False
        self._complete = not method
        self._head_received = False
        # Whether the response has no length, so that it ends with the connection.
        self._ends_with_connection = False
        self._keep_alive = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # ---- requests

    async def send(self, method: str, target: str, host: str, headers: Headers, body: Body) -> None:
        """Sends a request, and waits for the head of the response.

        *target* is the path and query, *host* the value of the header `Host`. Raises
        UpstreamProtocolError, UpstreamTimeout.
        """
        self._reset(method)
        transport = self.transport
        assert transport is not None
        self._outbox.write(transport, _encode_head(method, target, host, headers, body))
        if body is None or isinstance(body, bytes):
            self._restart_timeout()
        else:
            chunked = not any(name.lower() == "content-length" for name, _ in headers)
            self._upload = self._loop.create_task(self._send_body(body, chunked))
        while not self._head_received and self._error is None:
            await self._wait_for_data()
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()  # the server responded before the end of the body
            self._keep_alive = False
        if self._error is not None:
            raise self._error

    async def _send_body(self, body: AsyncIterable[bytes], chunked: bool) -> None:
        assert self.transport is not None
        try:
            async for chunk in body:
                if chunked:
                    chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
                self._outbox.write(self.transport, chunk)
                if self._writable is not None:
                    self._restart_timeout()
                    await self._writable
                    self.deadline = math.inf  # the next chunk comes from the client, not the server
            if chunked:
                self._outbox.write(self.transport, b"0\r\n\r\n")
            self._restart_timeout()
        except asyncio.CancelledError:
            raise
        except Exception:  # `Upload.error` keeps the error itself
            self._fail(UpstreamProtocolError("the request's body broke off"))

    async def read_chunk(self) -> bytes:
        """Returns the next chunk of the response body; b"" at its end.

        Raises UpstreamProtocolError, UpstreamTimeout.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._complete:
                return b""
            await self._wait_for_data()
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered_bytes = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
            self._restart_timeout()
        return chunk

    async def _wait_for_data(self) -> None:
        """Waits until `_wake` reports a part of the response, its end or an error."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _restart_timeout(self) -> None:
        """Sets `deadline` to one read timeout from now."""
        if self._read_timeout:
            self.deadline = self._loop.time() + self._read_timeout

    @property
    def at_end(self) -> bool:
        """Whether the response is complete, and `read_chunk` has returned all of its body."""
        return self._complete and not self._chunks and self._error is None

    @property
    def reusable(self) -> bool:
        """Whether the connection can be reused for another request."""
        return self._complete and self._keep_alive and not self.closed and self._error is None

    @property
    def response_started(self) -> bool:
        """Whether any data of a response has arrived."""
        return self.status > 0 or self._head_bytes > 0

    def close(self) -> None:
        """Aborts the connection and an upload in progress. An incomplete response fails."""
        if not self._complete and self._error is None:
            self._error = UpstreamProtocolError("the connection was closed")
        if self._upload is not None:
            self._upload.cancel()
        if self.transport is not None:
            self.transport.abort()

    def check_timeout(self, now: float) -> None:
        """Ends the request in flight with UpstreamTimeout if `deadline` has passed at *now*.

        Does nothing while reading is paused: then the client is slow, not the store.
        """
        if now >= self.deadline and not self._complete and not self._paused:
            self._fail(UpstreamTimeout(f"silent for {self._read_timeout:g} s"))

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None and not self._complete:
            self._error = error
        self._keep_alive = False
        self.deadline = math.inf
        self.close()
        self._wake()

    # ---- callbacks of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stores the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has another base class

    def data_received(self, data: bytes) -> None:
        """Parses *data* as part of the response.

        Data that arrives while no request is in flight closes the connection.
        """
        if self._complete:
            self._keep_alive = False  # no request is in flight
            self.close()
            return
        self._restart_timeout()
        if not self._head_received:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # An unrequested upgrade is invalid, too.
            self._fail(UpstreamProtocolError("its answer is not HTTP"))
            return
        if not self._head_received and self._head_bytes > _MAX_HEAD_BYTES:
            self._fail(UpstreamProtocolError("the head of its answer is too large"))

    def eof_received(self) -> bool:
        """Returns False: asyncio then closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Completes a response that ends with the connection.

        Any other response fails with UpstreamProtocolError.
        """
        self.closed = True
        if self._ends_with_connection and exc is None:
            self._complete = True
        elif not self._complete and self._error is None:
            self._error = UpstreamProtocolError("it closed the connection")
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
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Stores a header of the response in `headers`, with its name in lower case.

        Ignores trailers.
        """
        if self._head_received:
            self._has_trailers = True
        elif not self._complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decides whether a body follows, and wakes `send`; ignores a 1xx response."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            return
        if status > 599:
            self._fail(UpstreamProtocolError(f"status {status}"))
            return
        self.status = status
        self._head_received = True
        self._keep_alive = self._parser.should_keep_alive()
        self.fields = fields = dict(reversed(self.headers))
        bodiless = self._method == "HEAD" or status in _BODILESS_STATUSES
        self._ends_with_connection = not (
            bodiless or b"content-length" in fields or b"transfer-encoding" in fields
        )
        if self._method == "HEAD":
            # httptools would wait for a body, which a response to HEAD lacks.
            self._keep_alive = False
            self._complete_response()
        self._wake()

    def on_body(self, body: bytes) -> None:
        """Stores a chunk for `read_chunk`. Pauses reading if more than 128 KiB are stored."""
        if self._complete:
            return
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        if (
            self._buffered_bytes > _MAX_BUFFERED_BYTES
            and not self._paused
            and self.transport is not None
        ):
            self._paused = True
            self.transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        """Ends the response. A 1xx response is ignored: the final response follows it."""
        if self._complete:
            return
        if self.status:
            self._complete_response()
        else:
            self.headers.clear()  # the headers of the 1xx response

    def _complete_response(self) -> None:
        self._complete = True
        self.deadline = math.inf
        if self._waiter is not None:
            self._wake()


def _encode_head(method: str, target: str, host: str, headers: Headers, body: Body) -> bytes:
    """Returns a request's head, followed by *body* if *body* is bytes.

    Raises UpstreamProtocolError for a line end or a NUL in a field.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if isinstance(body, bytes):
        lines.append(f"Content-Length: {len(body)}")
    elif body is None and method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    elif body is not None and not any(name.lower() == "content-length" for name, _ in headers):
        lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join(lines)
    line_ends = len(lines) - 1
    if head.count("\n") != line_ends or head.count("\r") != line_ends or "\0" in head:
        raise UpstreamProtocolError("a header with a line end")  # it would inject another header
    raw = head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return raw + body if isinstance(body, bytes) else raw
