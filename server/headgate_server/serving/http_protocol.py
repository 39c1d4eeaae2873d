"""A client's HTTP/1.1 connection: uvicorn's httptools protocol, with limits on size and time."""

import asyncio
import math
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from headgate_server.http.parsed_request import BatchedRequest
from headgate_server.http.response import RawHeaders
from headgate_server.http.write_buffer import BufferedTransport
from headgate_server.serving.batch import Batch, BatchAnswer, RequestHandler
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.final_response import RequestRejected, final_response
from headgate_server.serving.head_memory import FREE_BYTES, HeadBudget
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.request_framing import framing_error_status
from headgate_server.serving.request_head import ParsedRequest, encode_head
from headgate_server.serving.timeouts import TimeoutProtocol
from headgate_server.serving.websocket_protocol import WebSocketConnection
from headgate_server.telemetry.access_log import log_malformed
from headgate_server.telemetry.metrics import Metrics

# Limits of a request's head: bytes of its URL and header fields together; number of fields.
_MAX_HEAD_BYTES = 1 << 18
_MAX_HEAD_FIELDS = 200
# Pipelined requests: sent by a client that does not wait for the previous response.
_MAX_PIPELINED_REQUESTS = 64
# Requests of one read that are answered without ASGI, before other connections have their turn.
_MAX_BATCHED_REQUESTS_PER_READ = 4
_BODY_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect"})


class Connection(TimeoutProtocol):
    """A client's connection. *batch* answers simple requests without ASGI, which costs less."""

    def __init__(
        self,
        limits: ConnectionLimits,
        heads: HeadBudget,
        idle: IdleConnections,
        metrics: Metrics,
        handler: RequestHandler,
        batch: Batch,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(limits, heads, idle, config, server_state, app_state, _loop)
        self._metrics = metrics
        self._handler = handler
        self._batch = batch
        self._in_head = True
        self._head_size = self._fields = 0
        self._version = ""
        # The arguments of `framing_error_status` for an earlier request, which were valid.
        self._last_valid_framing: tuple[str, list[bytes], list[bytes]] | None = None
        self._unparsed_bytes = 0  # bytes received since the last callback of httptools
        self._received_head_bytes = 0  # bytes of the incomplete head, or slightly more
        self._error_status = 400
        self._ignore_input = False  # whether further input is ignored
        self._eof = False
        self._final_status = 0  # the status of the final response
        self._bodyless = True  # whether the request has no body
        self._pending_request: BatchedRequest | None = None  # in the batch, not answered yet
        self._batch_quota = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the connection. At the limit, closes an idle connection or this one."""
        super().connection_made(transport)
        self._metrics.connection(1)
        if 0 < self._limits.connections < len(self.connections):
            self._metrics.connection_refused()
            if not self._idle.free_place(cast(Any, self.connections)):
                transport.abort()
                return
        self._deadline = self._deadline_after(self._limits.read_header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers the request in the batch, and counts the end of the connection."""
        self._answer_pending()
        self._metrics.connection(-1)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn keeps the timer if the client disconnected

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection open (True) for a response in progress, except over TLS."""
        self._answer_pending()
        self._eof = True
        self._write_buffer.flush()
        if self._running_cycle is not None:
            state = self._running_cycle.scope.setdefault("state", {})
            state["half_closed"] = True
            if (on_half_close := state.get("on_half_close")) is not None:
                on_half_close()
        return self.scheme == "http" and self._in_head and self._busy()

    def shutdown(self) -> None:
        """Answers the request in the batch, then shuts down as uvicorn does."""
        self._answer_pending()
        self._write_buffer.flush()
        super().shutdown()
        if self.transport.is_closing():
            self._close_tls()

    def data_received(self, data: bytes) -> None:
        """Parses *data*; rejects an invalid or too large request."""
        self._unset_keepalive_if_required()
        if self._ignore_input:
            return
        self._batch_quota = _MAX_BATCHED_REQUESTS_PER_READ
        self._unparsed_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self._ignore_input:
                self._reject(self._error_status)
            return
        if self._unparsed_bytes > _MAX_HEAD_BYTES:
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
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_websocket():
                self._become_websocket(data[upgrade.args[0] :])
                return
            # Other protocols are unsupported: the request is parsed again without the offer.
            # (httptools treats its body as data of that protocol.)
            again = self._encode_head(offer=False) + data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(again)

    def _encode_head(self, *, offer: bool = True) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        return encode_head(method, self.url, version, self.headers, keep_upgrade=offer)

    def _is_websocket(self) -> bool:
        """Returns whether the request offers a WebSocket upgrade that the application accepts."""
        offered = dict(self.headers)
        fresh = not self.pipeline and not self._busy()
        return (
            fresh
            and offered.get(b"upgrade", b"").lower() == b"websocket"
            and self._handler.accepts_websocket(offered.get(b"host", b""), self.url)
        )

    def _become_websocket(self, rest: bytes) -> None:
        self._write_buffer.flush()
        self.connections.discard(self)
        self._ignore_input = True
        websocket = WebSocketConnection(
            self._metrics, self.config, self.server_state, self.app_state
        )
        websocket.take_over(self.transport, self._encode_head() + rest)

    def _reject(self, status: int) -> None:
        """Ends the connection with *status*, after the responses that are in progress."""
        self._heads.release(self)
        self._answer_pending()
        if self._ignore_input:
            return  # the final response is sent already
        self._ignore_input = True
        if self.pipeline and not self._in_head:
            self.pipeline.popleft()  # a request that stays incomplete, and was not started
            self._in_head = True
        elif self._busy() and not self._in_head:
            self._abort_request(status)
            return
        self._metrics.request("other", "other", status, 0)
        log_malformed(self.client[0].removeprefix("::ffff:") if self.client else "unix", status)
        if self._busy():
            self._final_status = status
        else:
            self._send_final_response(status)

    def _abort_request(self, status: int) -> None:
        """Cancels the running request, as its body stays incomplete; ends with *status*."""
        cycle = self.cycle
        cycle.scope.setdefault("state", {})["refused"] = status  # for the log
        cycle.disconnected = True
        cycle.message_event.set()
        self._send_final_response(status)

    def _send_final_response(self, status: int) -> None:
        """Ends the connection with *status*, unless a response to that request has begun."""
        running = self._running_cycle
        answered = not self._in_head and running is not None and running.response_started
        if not answered and not self.transport.is_closing():
            self._write_buffer.write(self.transport, final_response(status))
        self._close()

    def _reject_from_callback(self, status: int) -> None:
        """Stops the parser: `data_received` then answers with *status*."""
        self._error_status = status
        raise RequestRejected  # httptools turns it into an HttpParserError

    # ---- callbacks of httptools

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._answer_pending()
        # The ASGI scope is created only if ASGI is used: see `_start_request`.
        self._release_head()
        self.expect_100_continue = False
        self._reading = self._in_head = self._bodyless = True
        self._head_size = self._fields = self._unparsed_bytes = self._received_head_bytes = 0
        self._deadline = self._deadline_after(self._limits.read_header)

    def on_url(self, url: bytes) -> None:
        """Adds a part of the URL."""
        self._unparsed_bytes = 0
        self._head_size += len(url)
        if self._head_size > _MAX_HEAD_BYTES:
            self._reject_from_callback(414)
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a field of the head."""
        self._fields += 1
        self._unparsed_bytes = 0
        self._head_size += len(name) + len(value)
        if self._head_size > _MAX_HEAD_BYTES or self._fields > _MAX_HEAD_FIELDS:
            self._reject_from_callback(431)
        if not self._in_head:
            return  # trailers are ignored
        name = name.lower()
        if name == b"host":
            self._host_values.append(value)
        elif name == b"transfer-encoding":
            self._transfer_codings.append(value)
        if name in _BODY_FIELDS and value != b"0":
            self._bodyless = False
            self.expect_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Checks the head, and decides whether the request may be answered without ASGI."""
        if self._ignore_input:
            self._reject_from_callback(400)  # input after the final response is ignored
        self._version = self.parser.get_http_version()
        framing = (self._version, self._host_values, self._transfer_codings)
        if framing != self._last_valid_framing:  # mostly equal in all requests of a client
            if status := framing_error_status(*framing):
                self._reject_from_callback(status)
            self._last_valid_framing = framing if self._head_size <= FREE_BYTES else None
        if len(self.pipeline) >= _MAX_PIPELINED_REQUESTS:
            self._reject_from_callback(429)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._reject_from_callback(400)
            return
        self._in_head = False
        at_once = self._bodyless and self._batch_quota > 0 and not self._busy()
        self._batchable = at_once and not self.flow.write_paused
        if not self._batchable:
            self._start_request()

    def _start_request(self) -> None:
        """Starts the ASGI application for the request; its body may be incomplete."""
        self._batchable = False
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        # httptools cannot split a URL of 64 KiB.
        self.url, _, query = url.partition(b"#")[0].partition(b"?")
        self.headers, self.expect_100_continue = headers, expect
        cast(Any, self.scope)["headers"] = headers
        super().on_headers_complete()
        cast(Any, self.scope)["query_string"] = query
        self._release_head()
        self._deadline = self._deadline_after(self._limits.read)

    def on_chunk_header(self) -> None:
        """Records that httptools has parsed the bytes received so far."""
        self._unparsed_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body to the ASGI application."""
        self._unparsed_bytes = 0
        if self._batchable:
            self._start_request()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request: puts it into the batch, or completes it for ASGI."""
        self._unparsed_bytes = 0
        if self.parser.should_upgrade():
            return
        self._reading = False
        self._in_head = True
        if self._batchable:
            if self._add_to_batch():
                return
            self._start_request()
        self._complete_request()

    def _complete_request(self) -> None:
        super().on_message_complete()
        self._deadline = math.inf
        if self.cycle.response_complete:
            self._release_request()
            self._deadline = self._deadline_after(self._limits.idle)

    @property
    def default_fields(self) -> RawHeaders:
        """The header fields that the server adds to every response."""
        return self.server_state.default_headers

    def _add_to_batch(self) -> bool:
        """Puts the held request into the batch. Returns False if it needs ASGI."""
        method, url = self.parser.get_method().decode("ascii"), self.url
        path = url.partition(b"?")[0]
        if b"#" in url or not self._handler.can_batch(method, path):
            return False
        keep = self._version != "1.0" and self.parser.should_keep_alive()
        self._pending_request = BatchedRequest(
            method, url, self.headers, self.client, self._version, keep
        )
        self._deadline = self._deadline_after(self._limits.idle)
        self._release_head()
        self._batch.add(self)
        return True

    def _answer_pending(self) -> None:
        """Answers this connection's request in the batch now, alone."""
        if self._pending_request is not None:
            self._batch.run([self])

    def take_request(self) -> BatchedRequest | None:
        """Returns the request in the batch, and None after the first call."""
        request, self._pending_request = self._pending_request, None
        return request

    def send_answer(self, request: BatchedRequest, answer: BatchAnswer) -> None:
        """Sends *answer* if it is bytes, else runs it as the ASGI application (None: `app`)."""
        if not isinstance(answer, bytes):
            self._run_asgi(request, self.app if answer is None else answer)
            return
        self._batchable = False
        self._batch_quota -= 1
        if not answer:
            self._ignore_input = True
            self._write_buffer.flush()
            self.transport.abort()
            return
        self._write_buffer.write(self.transport, answer)
        self.server_state.total_requests += 1
        if not request.keep_alive:
            self._ignore_input = True
            self._close()

    def _run_asgi(self, request: BatchedRequest, application: Any) -> None:
        """Answers *request* by the ASGI *application*. The parser may be at a later request."""
        self.url, self.headers = request.url, request.headers
        own, self.app = self.app, application
        parser, self.parser = self.parser, cast(Any, ParsedRequest(request))
        try:
            self._start_request()
            self._complete_request()
        except httptools.HttpParserError:
            self._reject(400)
        finally:
            self.parser, self.app = parser, own

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running_cycle = cycle
        cycle.transport = BufferedTransport(self.transport, self._write_buffer)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Begins the idle time, or closes the connection if it has to end."""
        super().on_response_complete()
        if self._busy():
            return  # with the next pipelined request
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
