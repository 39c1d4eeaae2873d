"""One connection to another server, and HTTP/1.1 on it: one request at a time. Knows httptools.

Written for what a gateway does and no more: it costs a third of what a library for everything does.
Whether an answer is HTTP is for httptools to say, in its strict mode.
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

# Of an answer so much is held before it is taken, and then no more is read.
_HIGH_WATER = 1 << 17
_LARGEST_HEAD = 1 << 18
_NO_BODY = (204, 304)


class Wire(asyncio.Protocol):
    """Between `send` and the end of its answer it is *busy*; then it can be used again if *fresh*.

    *deadline*, by the loop's clock, is when it has been silent for too long.
    """

    def __init__(self, read_timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox()
        self._read_timeout = read_timeout
        self.transport: asyncio.Transport | None = None
        self.used = False  # for an answer before this one
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
        self._until_end = False  # the answer has no length: it ends with the connection
        self._keep = False
        self._error: UpstreamError | None = None
        self._waiting: asyncio.Future[None] | None = None

    # ---- asking

    async def send(self, method: str, target: str, host: str, headers: Headers, body: Body) -> None:
        """Sends a request, and waits for the head of its answer. Raises Broken, Silent."""
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
            self._upload.cancel()  # it has heard enough
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
                    self.deadline = math.inf  # it is the client's turn again
            if chunked:
                self._outbox.put(self.transport, b"0\r\n\r\n")
            self._touch()
        except asyncio.CancelledError:
            raise
        except Exception:  # whose body it is knows which
            self._fail(Broken("the request's body broke off"))

    async def part(self) -> bytes:
        """The next part of the answer's body; b"" at its end. Raises Broken, Silent."""
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
        """Something went on: the time begins anew."""
        if self._read_timeout:
            self.deadline = self._loop.time() + self._read_timeout

    @property
    def _headed(self) -> bool:
        return self._until_end or self._complete or self._in_body

    @property
    def fresh(self) -> bool:
        """Whether another request may follow."""
        return self._complete and self._keep and not self.lost and self._error is None

    @property
    def answered(self) -> bool:
        """Whether anything of an answer came."""
        return self.status > 0 or self._size > 0

    def close(self) -> None:
        """Ends the connection at once."""
        if self._upload is not None:
            self._upload.cancel()
        if self.transport is not None:
            self.transport.abort()

    def check(self, now: float) -> None:
        """Ends what has been silent for too long at *now*."""
        if now >= self.deadline and not self._complete and not self._paused:
            self._fail(Silent(f"silent for {self._read_timeout:g} s"))

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None and not self._complete:
            self._error = error
        self._keep = False
        self.deadline = math.inf
        self.close()
        self._wake()

    # ---- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are only like them

    def data_received(self, data: bytes) -> None:
        if self._complete:
            self._keep = False  # nobody has asked anything
            self.close()
            return
        self._touch()
        if not self._headed:
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(
                Broken("its answer is not HTTP")
            )  # no request asked it to speak anything else
            return
        if not self._headed and self._size > _LARGEST_HEAD:
            self._fail(Broken("the head of its answer is too large"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._until_end and exc is None:
            self._complete = True
        elif not self._complete and self._error is None:
            self._error = Broken("it closed the connection")
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # ---- what httptools tells

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep = False  # nobody has asked for another answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
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
            # httptools would wait for what never comes.
            self._keep = False
            self._end()
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._complete:
            return
        self._parts.append(body)
        self._held += len(body)
        if self._held > _HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._complete:
            return
        if self.status:
            self._end()
        else:
            self.headers.clear()  # of a 1xx: the answer is still to come

    def _end(self) -> None:
        self._complete = True
        self.deadline = math.inf
        self._wake()


def _head(method: str, target: str, host: str, headers: Headers, body: Body) -> bytes:
    """A request's head, and its body if that is short. Raises Broken for what is no header."""
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
        raise Broken("a header with a line end")  # a line end in a value would be another header
    raw = head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return raw + body if isinstance(body, bytes) else raw
