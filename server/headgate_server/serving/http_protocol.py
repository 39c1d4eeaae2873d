"""A client's HTTP/1.1 connection on httptools, with limits on size and time."""

import asyncio
import math
from time import perf_counter

import httptools
from starlette.types import ASGIApp

from headgate_server.http.header_fields import Headers
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.response import RawHeaders
from headgate_server.http.trusted_proxies import UNIX
from headgate_server.serving.batch import AsgiContinuation, Batch, BatchAnswer, RequestHandler
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.final_response import final_response
from headgate_server.serving.head_memory import HeadBudget
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.request_head import encode_head
from headgate_server.serving.request_reader import MAX_HEAD_BYTES, RequestReader
from headgate_server.serving.server_state import ServerState
from headgate_server.serving.tls_close import abort_after_close
from headgate_server.telemetry.access_log import log_malformed
from headgate_server.telemetry.metrics import Metrics

# Requests of one read that are answered without ASGI, before other connections have their turn.
_MAX_BATCHED_REQUESTS_PER_READ = 4
# The largest request of which the connection keeps the bytes and the header fields, to compare them
# with the next; then how long an idle connection keeps them.
_MAX_KEPT_BYTES = 1 << 10
_KEPT_SECONDS = 5.0


class Connection(RequestReader):
    """A client's connection. *batch* answers requests that were received whole.

    Other requests are answered by *handler*, the ASGI application. They have long bodies or bodies
    in parts, or are pipelined: an earlier response on the connection is incomplete.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        heads: HeadBudget,
        idle: IdleConnections,
        metrics: Metrics,
        handler: RequestHandler,
        batch: Batch,
        state: ServerState,
        relayed_client: str | None = None,
    ) -> None:
        """*relayed_client* is the source in the connection's PROXY header, see `RELAYED_CLIENT`."""
        super().__init__(limits, heads, idle, state)
        self._relayed_client = relayed_client
        self._metrics = metrics
        self._handler = handler
        self._batch = batch
        self._eof = False
        self._final_status = 0  # the status of the final response
        self._last_headers: Headers | None = None  # most clients send the same in each request
        self._pending_request: ParsedRequest | None = None  # in the batch, not answered yet
        # The bytes of the last read and its request, if it was one whole and short request.
        self._last_read: tuple[bytes, ParsedRequest] | None = None

    @property
    def _application(self) -> ASGIApp:
        return self._handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection. Beyond the limit, closes an idle connection or this one."""
        super().connection_made(transport)
        self._metrics.connection(1)
        if self._state.stopping:  # its TLS handshake ended after the server began to stop
            self.transport.abort()
            return
        limit = self._limits.connections
        if not self._idle.make_room(self._state.connections, limit, self._metrics):
            self.transport.abort()
            return
        self._deadline = self._deadline_after(self._limits.read_header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers the request in the batch, and tells ASGI that the client has disconnected."""
        self._answer_pending()
        self._metrics.connection(-1)
        super().connection_lost(exc)
        for exchange in {self._running, self._exchange, *(one for one, _, _ in self._queued)}:
            if exchange is not None:
                exchange.disconnect()
        self._queued.clear()

    def check_deadlines(self, now: float) -> None:
        """Ends the connection after a deadline. Drops the kept request of an idle one.

        It may contain a password. *now* is the current time by the loop's clock.
        """
        super().check_deadlines(now)
        if self._last_active is None or now - self._last_active > _KEPT_SECONDS:
            self._last_headers = self._last_read = None

    def eof_received(self) -> bool:
        """Handles the end of the client's input: ends the connection after a response in progress.

        Returns True, which keeps the connection open, while a complete request is being answered.
        Always returns False over TLS.
        """
        self._answer_pending()
        self._eof = True
        self._write_buffer.flush()
        if self._running is not None:
            self._running.report_disconnect()
        return self.scheme == "http" and self._in_head and self._busy()

    def shutdown(self) -> None:
        """Answers the request in the batch, then closes the connection once it is idle."""
        self._answer_pending()
        self._write_buffer.flush()
        if self._exchange is None or self._exchange.response_complete:
            self.transport.close()
        else:
            self._exchange.keep_alive = False
        abort_after_close(self.transport)

    def data_received(self, data: bytes) -> None:
        """Parses *data*. Rejects an invalid or too large request, and ends the connection."""
        if self._ignore_input:
            return
        self._batch_quota = _MAX_BATCHED_REQUESTS_PER_READ
        last = self._last_read
        if last is not None and data == last[0] and self._repeats(last[1]):
            return
        is_start, self._begun = not self._reading, 0
        self._parse(data)
        request = self._pending_request
        is_whole = is_start and self._begun == 1 and not self._reading
        if is_whole and request is not None and request.keep_alive and len(data) <= _MAX_KEPT_BYTES:
            self._last_read = data, request
        elif last is not None:
            self._last_read = None

    def _repeats(self, request: ParsedRequest) -> bool:
        """Puts *request* into the batch once more, as its bytes were received again.

        Many clients repeat one request, such as a health check, and need it parsed only once.
        Returns False if the new request must not be answered in the batch.
        """
        self._answer_pending()
        if self._ignore_input or self._queued or self.flow.write_paused or self._busy():
            return False
        request.completed_at = perf_counter()
        self._batchable = True
        self._add_to_batch(request)
        return True

    def _parse(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self._ignore_input:
                self._reject(self._error_status)
            return
        if self._batchable and not self._in_head:
            self._start_request()  # its body comes in parts
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._reject(431)
            return
        if self._reading or self._heads.any_over_free:
            self._received_head_bytes = (
                self._received_head_bytes + len(data) if self._in_head else self._unparsed_bytes
            )
            self._heads.set_size(
                self, self._received_head_bytes if self._reading and not self._ignore_input else 0
            )

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_websocket() and self._become_websocket(data[upgrade.args[0] :]):
                return
            # Other protocols are unsupported: the request is parsed again without the offer.
            # (httptools treats its body as data of that protocol.)
            again = self._encode_head(offer=False) + data[upgrade.args[0] :]
            self._parser = self._new_parser()
            self._feed(again)

    def _encode_head(self, *, offer: bool = True) -> bytes:
        method, version = self._parser.get_method(), self._parser.get_http_version()
        return encode_head(method, self.url, version, self.headers, keep_upgrade=offer)

    def _is_websocket(self) -> bool:
        """Returns whether the request offers a WebSocket upgrade that the application accepts."""
        offered = dict(self.headers)
        fresh = not self._queued and not self._busy()
        return (
            fresh
            and offered.get(b"upgrade", b"").lower() == b"websocket"
            and self._handler.accepts_websocket(offered.get(b"host", b""), self.url)
        )

    def _become_websocket(self, rest: bytes) -> bool:
        """Makes the connection a WebSocket. *rest* is what was received after the request's head.

        Returns False, and does nothing, if the head is unusable for a WebSocket.
        """
        # Imported here: only a gateway to a store with WebSockets needs uvicorn's protocol.
        from headgate_server.serving.websocket_protocol import (
            RelayedApplication,
            is_handshake,
            take_over_connection,
        )

        head = self._encode_head()
        if not is_handshake(head):
            return False
        self._write_buffer.flush()
        self._state.connections.discard(self)
        self._ignore_input = True
        application: ASGIApp = self._handler
        if self._relayed_client is not None:
            application = RelayedApplication(application, self._relayed_client)
        take_over_connection(self.transport, head, application, self._metrics, self._state, rest)
        return True

    def _reject(self, status: int) -> None:
        """Rejects a request with *status*, after responses in progress. Ends the connection."""
        self._heads.release(self)
        self._answer_pending()
        if self._ignore_input:
            return  # the final response is sent already
        self._ignore_input = True
        if self._queued and not self._in_head:
            self._queued.pop()  # a request that stays incomplete, and was not started
            self._in_head = True
        elif self._busy() and not self._in_head:
            self._abort_request(status)
            return
        self._metrics.request("other", "other", status, 0)
        log_malformed(self._relayed_client or self._peer(), status)
        if self._busy():
            self._final_status = status
        else:
            self._send_final_response(status)

    def _peer(self) -> str:
        """Returns the address at the other end, for the log."""
        return self.client[0].removeprefix("::ffff:") if self.client else UNIX

    def _abort_request(self, status: int) -> None:
        """Cancels the running request: the rest of its body is not read.

        Sends a response with *status* if none has begun, and ends the connection.
        """
        assert self._exchange is not None
        self._exchange.scope["state"]["refused"] = status  # for the log
        self._exchange.disconnect()
        self._send_final_response(status)

    def _send_final_response(self, status: int) -> None:
        """Sends a response with *status*, and closes the connection.

        If a response to the rejected request has begun already, only closes the connection.
        """
        running = self._running
        answered = not self._in_head and running is not None and running.response_started
        if not answered and not self.transport.is_closing():
            self._write_buffer.write(self.transport, final_response(status))
        self._close()

    @property
    def default_fields(self) -> RawHeaders:
        """The header fields that the server adds to every response."""
        return self._state.default_fields

    def _complete_batchable(self) -> None:
        """Puts the received request into the batch."""
        method = self._parser.get_method().decode("ascii")
        keep = self._version != "1.0" and self._parser.should_keep_alive()
        headers = self._last_headers
        if headers is None or headers.fields != self.headers:
            headers = Headers(self.headers)
            self._last_headers = headers if self._head_size <= _MAX_KEPT_BYTES else None
        request = ParsedRequest(
            method,
            self.url,
            headers,
            self.client,
            self._version,
            keep,
            self._take_body(),
            relayed_client=self._relayed_client,
        )
        self._release_head()
        self._add_to_batch(request)

    def _add_to_batch(self, request: ParsedRequest) -> None:
        self._pending_request = request
        self._deadline = self._deadline_after(self._limits.idle)
        self._batch.add(self)

    def _answer_pending(self) -> None:
        """Answers this connection's request in the batch now. The other requests stay in it."""
        if self._pending_request is not None:
            self._batch.run([self])

    def take_request(self) -> ParsedRequest | None:
        """Returns the request in the batch at the first call, and None at later calls."""
        request, self._pending_request = self._pending_request, None
        return request

    def send_answer(self, request: ParsedRequest, answer: BatchAnswer) -> None:
        """Sends *answer* if it is bytes, else runs it as an ASGI application, which sends it later.

        If *answer* is `b""`, aborts the connection.
        """
        if not isinstance(answer, bytes):
            self._run_asgi(request, answer)
            return
        self._batchable = False
        self._batch_quota -= 1
        if not answer:
            self._ignore_input = True
            self._write_buffer.flush()
            self.transport.abort()
            return
        self._write_buffer.write(self.transport, answer)
        if not request.keep_alive:
            self._ignore_input = True
            self._close()

    def _run_asgi(self, request: ParsedRequest, application: AsgiContinuation) -> None:
        """Answers *request* by running *application*, which has the request's body already."""
        self._batchable = False
        scope = self._complete_scope(application.scope)
        self._exchange = self._create_exchange(scope, keep_alive=request.keep_alive)
        self._exchange.end_body()
        self._deadline = math.inf
        self._start_or_queue(self._exchange, application, application.context)

    def _on_response_complete(self) -> None:
        """Starts the next queued request, if there is one.

        Otherwise ends the connection, or starts the idle timeout.
        """
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self._queued:
                self._start(*self._queued.popleft())
        if self._busy():
            return  # with the next queued request
        if self._final_status:
            self._send_final_response(self._final_status)
        elif self._eof:
            self._close()
        else:
            deadline = self._deadline_after(self._limits.idle)
            if self._in_head:
                self._release_request()
            if not self._reading:
                self._deadline = deadline
