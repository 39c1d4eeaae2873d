"""The base class of a client's connection: reads requests, with limits on their size."""

import math
from collections import deque
from contextvars import Context
from typing import NoReturn
from urllib.parse import unquote_to_bytes

import httptools
from starlette.types import ASGIApp, Scope

from headgate_server.http.disconnect_watch import DISCONNECT_CALLBACK
from headgate_server.http.request import RELAYED_CLIENT
from headgate_server.http.response import ENCODED_RESPONSE
from headgate_server.serving.asgi_exchange import AsgiExchange
from headgate_server.serving.connection_deadlines import TimeoutProtocol
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.final_response import RequestRejected
from headgate_server.serving.head_memory import FREE_BYTES, HeadBudget
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.request_framing import framing_error_status
from headgate_server.serving.server_state import ServerState

# Limits of a request's head: bytes of its URL and header fields together; number of fields.
MAX_HEAD_BYTES = 1 << 18
_MAX_HEAD_FIELDS = 200
# Pipelined requests: sent by a client that does not wait for the previous response.
_MAX_PIPELINED_REQUESTS = 64
# The longest body and the longest URL that a request of a batch may have. httptools cannot split a
# path of 64 KiB. ASGI answers other forms of a URL than a path, such as `http://host/path`.
_MAX_BATCHED_BODY_BYTES = 1 << 16
_MAX_BATCHED_URL_BYTES = 1 << 13
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: dict[str, dict[str, object]] = {ENCODED_RESPONSE: {}, DISCONNECT_CALLBACK: {}}


class RequestReader(TimeoutProtocol):
    """An HTTP connection that reads requests by the callbacks of httptools.

    A request that is received whole in one read may be answered in a batch. Any other request is
    passed to ASGI, its body in parts.
    """

    _in_head = True
    _head_size = _fields = 0
    _version = ""
    # The arguments of `framing_error_status` for an earlier request, which were valid.
    _last_valid_framing: tuple[str, list[bytes], list[bytes]] | None = None
    _unparsed_bytes = 0  # bytes received since the last callback of httptools
    _received_head_bytes = 0  # bytes of the incomplete head, or slightly more
    _error_status = 400
    _ignore_input = False  # whether further input is ignored
    _body = b""  # of a request that may be answered in the batch
    _relayed_client: str | None = None
    _batch_quota = 0  # requests of the current read that may still go into the batch
    _begun = 0  # requests that began in the current read

    def __init__(
        self,
        limits: ConnectionLimits,
        heads: HeadBudget,
        idle: IdleConnections,
        state: ServerState,
    ) -> None:
        super().__init__(limits, heads, idle, state)
        self._queued: deque[tuple[AsgiExchange, ASGIApp, Context | None]] = deque()
        self._parser = self._new_parser()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A client may send a request, with `Connection: close`, and then more: the response to the
        # first request is sent, and what follows is ignored.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def on_message_begin(self) -> None:
        """Answers a request that is still in the batch, then resets the reader for a new one."""
        self._begun += 1
        self._answer_pending()
        self._release_head()
        self._expects_continue = False
        self._reading = self._in_head = True
        self._batchable = False
        self._head_size = self._fields = self._unparsed_bytes = self._received_head_bytes = 0
        self._deadline = self._deadline_after(self._limits.read_header)

    def on_url(self, url: bytes) -> None:
        """Adds *url*, a part of the URL. Rejects a URL that is too long."""
        self._unparsed_bytes = 0
        self._head_size += len(url)
        if self._head_size > MAX_HEAD_BYTES:
            self._reject_from_callback(414)
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header field. Ignores trailers, and rejects a head that is too large."""
        self._fields += 1
        self._unparsed_bytes = 0
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD_BYTES or self._fields > _MAX_HEAD_FIELDS:
            self._reject_from_callback(431)
        if not self._in_head:
            return  # trailers are ignored
        name = name.lower()
        if name == b"host":
            self._host_values.append(value)
        elif name == b"transfer-encoding":
            self._transfer_codings.append(value)
        elif name == b"expect":
            self._expects_continue |= value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Checks the head, and decides whether the request may be answered in the batch."""
        if self._ignore_input:
            self._reject_from_callback(400)  # input after the final response is ignored
        self._version = self._parser.get_http_version()
        framing = (self._version, self._host_values, self._transfer_codings)
        if framing != self._last_valid_framing:  # mostly equal in all requests of a client
            if status := framing_error_status(*framing):
                self._reject_from_callback(status)
            self._last_valid_framing = framing if self._head_size <= FREE_BYTES else None
        if len(self._queued) >= _MAX_PIPELINED_REQUESTS:
            self._reject_from_callback(429)
        if self._parser.should_upgrade():
            if self._parser.get_method() == b"CONNECT":
                self._reject_from_callback(400)
            return
        self._in_head = False
        self._batchable = (
            self._batch_quota > 0
            and not self._busy()
            and not self.flow.write_paused
            and not self._expects_continue
            and self.url[:1] == b"/" != self.url[1:2]
            and len(self.url) <= _MAX_BATCHED_URL_BYTES
            and b"#" not in self.url
        )
        if not self._batchable:
            self._start_request()

    def _start_request(self) -> None:
        """Starts the ASGI application for the request. The body may still be incomplete."""
        self._batchable = False
        body = self._take_body()
        version = self._version
        self._exchange = self._create_exchange(
            self._new_scope(self._parser.get_method().decode("ascii"), version),
            keep_alive=version != "1.0" and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue,
        )
        self._release_head()
        self._deadline = self._deadline_after(self._limits.read)
        if body:
            self._exchange.add_body(body)
        self._start_or_queue(self._exchange, self._application, None)

    def _new_scope(self, method: str, version: str) -> Scope:
        """Returns the ASGI scope of the request. Raises HttpParserError for an invalid URL."""
        path, _, query = self.url.partition(b"#")[0].partition(b"?")
        if path[:1] != b"/" or path[1:2] == b"/":
            path = httptools.parse_url(path).path or b"/"  # such as http://host/path
        return self._complete_scope(
            {
                "type": "http",
                "method": method,
                "http_version": version,
                "raw_path": path,
                "query_string": query,
                "headers": self.headers,
                "client": self.client,
                RELAYED_CLIENT: self._relayed_client,
            }
        )

    def _complete_scope(self, scope: Scope) -> Scope:
        """Adds the rest of ASGI's keys to *scope*, which has those of `to_request`."""
        scope["asgi"] = _ASGI
        scope["scheme"], scope["server"] = self.scheme, self._server_address
        scope["path"], scope["root_path"] = _decode_path(scope["raw_path"]), ""
        scope["state"], scope["extensions"] = {}, _EXTENSIONS
        return scope

    def _create_exchange(
        self, scope: Scope, *, keep_alive: bool, expects_continue: bool = False
    ) -> AsgiExchange:
        return AsgiExchange(
            scope,
            self.transport,
            self.flow,
            self._write_buffer,
            self._state.default_fields,
            self._on_response_complete,
            keep_alive=keep_alive,
            expects_continue=expects_continue,
        )

    def _start_or_queue(
        self, exchange: AsgiExchange, application: ASGIApp, context: Context | None
    ) -> None:
        """Runs *application* for *exchange* in a task, once earlier responses are complete.

        *context* has the context variables of the task; None: a copy of the current ones.
        """
        if self._busy():
            self.flow.pause_reading()
            self._queued.append((exchange, application, context))
        else:
            self._start(exchange, application, context)

    def _start(self, exchange: AsgiExchange, application: ASGIApp, context: Context | None) -> None:
        self._running = exchange
        task = self._loop.create_task(exchange.run(application), context=context)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _take_body(self) -> bytes:
        """Returns the part of the body that `on_body` has kept, and drops it."""
        body, self._body = self._body, b""
        return body

    def on_chunk_header(self) -> None:
        """Resets the number of unparsed bytes: httptools has parsed the header of a chunk."""
        self._unparsed_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Keeps a part of the body while the request may still be answered in the batch.

        Otherwise passes the part to the ASGI application, which then answers the request.
        """
        self._unparsed_bytes = 0
        if self._batchable:
            self._body += body
            if len(self._body) > _MAX_BATCHED_BODY_BYTES:
                self._start_request()
            return
        if self._exchange is not None:
            self._exchange.add_body(body)

    def on_message_complete(self) -> None:
        """Ends a request: adds it to the batch, or ends the body of its exchange."""
        self._unparsed_bytes = 0
        if self._parser.should_upgrade():
            return
        self._reading = False
        self._in_head = True
        if self._batchable:
            self._complete_batchable()
        else:
            self._complete_request()

    def _complete_request(self) -> None:
        if self._exchange is None:
            return
        self._exchange.end_body()
        self._deadline = math.inf
        if self._exchange.response_complete:
            self._release_request()
            self._deadline = self._deadline_after(self._limits.idle)

    def _reject_from_callback(self, status: int) -> NoReturn:
        """Stops the parser: `data_received` then answers with *status*."""
        self._error_status = status
        raise RequestRejected  # httptools turns it into an HttpParserError

    @property
    def _application(self) -> ASGIApp:
        """The ASGI application for requests that are not answered in a batch."""
        raise NotImplementedError

    def _on_response_complete(self) -> None:
        """Starts the next queued request, if there is one."""
        raise NotImplementedError

    def _answer_pending(self) -> None:
        """Answers this connection's request in the batch now."""
        raise NotImplementedError

    def _complete_batchable(self) -> None:
        """Puts the received request into the batch."""
        raise NotImplementedError


def _decode_path(path: bytes) -> str:
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("utf-8", "replace")
