"""A request that an ASGI application answers, and its response (ASGI 3, HTTP)."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Scope

from headgate_server.http.response import (
    ENCODED_RESPONSE,
    RawHeaders,
    encode_headers,
    status_line,
)
from headgate_server.http.write_buffer import WriteBuffer
from headgate_server.serving.flow_control import FlowControl

# Unread bytes of a body above which reading from the connection is paused.
MAX_UNREAD_BYTES = 1 << 16
_BODILESS_STATUSES = (204, 304)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_INTERNAL_ERROR = b"Internal Server Error"


class ApplicationError(RuntimeError):
    """The application has sent a message that ASGI does not allow."""


class AsgiExchange:
    """One request and its response: ASGI's `receive` and `send`.

    The connection adds the parts of the request's body by `add_body` and `end_body`. *on_complete*
    is called when the whole response was written. *keep_alive* is whether the connection may stay
    open after the response. *default_fields* are header fields of each response, before those of
    the application.
    """

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        write_buffer: WriteBuffer,
        default_fields: RawHeaders,
        on_complete: Callable[[], None],
        *,
        keep_alive: bool,
        expects_continue: bool = False,
    ) -> None:
        self.scope = scope
        self._transport, self._flow, self._write_buffer = transport, flow, write_buffer
        self._default_fields, self._on_complete = default_fields, on_complete
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self.disconnected = False
        self._body, self._more_body = bytearray(), True
        self._has_message = False
        self._waiter: asyncio.Future[None] | None = None
        self.response_started = self.response_complete = False
        self._chunked = False
        self._missing_bytes = 0  # of the body, by Content-Length

    # ---- the connection's side

    def add_body(self, part: bytes) -> None:
        """Adds *part* to the request's body.

        Pauses reading from the connection while the application has over 64 KiB left to receive.
        """
        if self.response_complete:
            return
        self._body += part
        if len(self._body) > MAX_UNREAD_BYTES:
            self._flow.pause_reading()
        self._wake()

    def end_body(self) -> None:
        """Records that the request's body is complete."""
        if not self.response_complete:
            self._more_body = False
            self._wake()

    def disconnect(self) -> None:
        """Makes `receive` return `http.disconnect`, if the response is incomplete."""
        if not self.response_complete:
            self.disconnected = True
            self.report_disconnect()
        self._wake()

    def report_disconnect(self) -> None:
        """Reports that the client has closed the connection or its half: `DISCONNECT_CALLBACK`."""
        state = self.scope.setdefault("state", {})
        state["disconnected"] = True
        if (callback := state.get("on_disconnect")) is not None:
            callback()

    def _wake(self) -> None:
        self._has_message = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- the application's side

    async def run(self, application: ASGIApp) -> None:
        """Runs *application*, which logs its own errors.

        After an error, sends a response with status 500 if none has begun; else closes the
        connection, so that the client detects the incomplete response.
        """
        try:
            await application(self.scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError):
            failed = True
        else:
            failed = not self.response_complete and not self.disconnected
        if failed and self.response_started:
            self._close()
        elif failed:
            await self._send_internal_error()
        self._on_complete = _do_nothing  # breaks the reference cycle with the connection

    async def _send_internal_error(self) -> None:
        fields = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_INTERNAL_ERROR)),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": fields})
        await self.send({"type": "http.response.body", "body": _INTERNAL_ERROR})

    async def receive(self) -> Message:
        """Returns the next ASGI message: a part of the request's body, or `http.disconnect`."""
        if self._expects_continue and not self._transport.is_closing():
            self._expects_continue = False
            self._write(_CONTINUE)
        if not self.disconnected and not self.response_complete:
            self._flow.resume_reading()
            while not self._has_message:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            self._has_message = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def send(self, message: Message) -> None:
        """Sends the response's head, or a part of its body (ASGI).

        Raises ApplicationError for a message that ASGI does not allow at this point.
        """
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if message["type"] == ENCODED_RESPONSE and not self.response_started:
            self.response_started = True
            content = message["content"]
            if message["keep_alive"] and not self.keep_alive:  # the server has begun to end
                content = content.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
            self._write(content)
            self._complete()
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected or self.response_complete:
            raise ApplicationError(f"unexpected ASGI message {message['type']!r}")
        if not self.response_started:
            self._start_response(message["status"], message.get("headers", ()))
        else:
            self._send_body(message.get("body", b""), message.get("more_body", False))

    def _start_response(self, status: int, headers: RawHeaders) -> None:
        fields = [*self._default_fields, *headers]
        length: int | None = None
        chunked = closes = False
        for name, value in fields:
            match name.lower():
                case b"content-length":
                    length = int(value)
                case b"transfer-encoding" if value.lower() == b"chunked":
                    chunked = True
                case b"connection" if b"close" in value.lower():
                    closes, self.keep_alive = True, False
        if not self.keep_alive and not closes:
            fields.append((b"connection", b"close"))
        bodiless = self.scope["method"] == "HEAD" or status in _BODILESS_STATUSES
        if length is None and not chunked and not bodiless:
            chunked = True
            fields.append((b"transfer-encoding", b"chunked"))
        head = status_line(status) + encode_headers(fields) + b"\r\n"
        self._chunked = chunked
        self._missing_bytes = 0 if length is None or chunked else length
        self.response_started, self._expects_continue = True, False
        self._write(head)

    def _send_body(self, body: bytes, more_body: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._missing_bytes = 0
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            end = b"" if more_body else b"0\r\n\r\n"
            if chunk or end:
                self._write(chunk + end)
        else:
            self._missing_bytes -= len(body)
            if self._missing_bytes < 0:
                raise ApplicationError("a body longer than Content-Length")
            if body:
                self._write(body)
        if more_body:
            return
        if self._missing_bytes:
            raise ApplicationError("a body shorter than Content-Length")
        self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self._wake()
        if not self.keep_alive:
            self._close()
        self._on_complete()

    def _write(self, content: bytes) -> None:
        self._write_buffer.write(self._transport, content)

    def _close(self) -> None:
        self._write_buffer.flush()
        self._transport.close()


def _do_nothing() -> None:
    """Does nothing: replaces *on_complete* after the application has returned."""
