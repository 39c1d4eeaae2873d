"""A client's connection: uvicorn's httptools protocol, with the missing bounds on size and time."""

import asyncio
import math
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from headgate_server.http.parsed_request import Request
from headgate_server.http.response import Fields
from headgate_server.http.write_buffer import Outgoing
from headgate_server.serving.batch import Answer, Answering, Inbox
from headgate_server.serving.connection_limits import Limits
from headgate_server.serving.final_response import farewell
from headgate_server.serving.head_memory import FREE_BYTES, Heads
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.request_framing import faulty
from headgate_server.serving.request_head import Heard, head
from headgate_server.serving.timeouts import Bounded
from headgate_server.serving.websocket_protocol import WebSocketConnection
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.metrics import Metrics

# Limits of a request's head: bytes of its URL and header fields together; number of fields.
_LARGEST_HEAD = 1 << 18
_MOST_FIELDS = 200
# Pipelined requests: sent before the response to the one before.
_MOST_PIPELINED = 64
# Requests of one read without ASGI; then other connections have their turn.
_MOST_AT_ONCE = 4
_OF_A_BODY = frozenset({b"content-length", b"transfer-encoding", b"expect"})


def _nothing() -> None:
    """Does nothing: the default of `on_half_close`."""


class _Refused(Exception):
    """Stops the parser: the request is not read any further."""


class Connection(Bounded):
    """A client's connection. Simple requests need no task and no ASGI: the *inbox* answers them."""

    def __init__(
        self,
        limits: Limits,
        heads: Heads,
        idle: IdleConnections,
        metrics: Metrics,
        application: Answering,
        inbox: Inbox,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(limits, heads, idle, config, server_state, app_state, _loop)
        self._metrics = metrics
        self._application = application
        self._inbox = inbox
        self._in_head = True
        self._head_size = self._fields = 0
        self._version = ""
        self._sound: tuple[str, list[bytes], list[bytes]] | None = None  # of an earlier request
        self._unheard = 0  # bytes without a callback of httptools so far
        self._arrived = 0  # bytes of the incomplete head, or slightly more
        self._status = 400
        self._deaf = False  # whether further input is ignored
        self._eof = False
        self._last_word = 0  # the status of the final response
        self._bare = True  # whether the request has no body
        self._waiting: Request | None = None  # answered before all else
        self._turns = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the connection. At the limit, closes an idle connection or this one."""
        super().connection_made(transport)
        self._metrics.connection(1)
        if 0 < self._limits.connections < len(self.connections):
            self._metrics.connection_refused()
            if not self._idle.make_room(cast(Any, self.connections)):
                transport.abort()
                return
        self._deadline = self._in(self._limits.read_header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers the waiting request, and counts the end of the connection."""
        self._settle()
        self._metrics.connection(-1)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn keeps the timer if the client disconnected

    def eof_received(self) -> bool:  # type: ignore[override]
        """Half-closed by the client: stays open for a response in progress, except over TLS."""
        self._settle()
        self._eof = True
        self._outbox.flush()
        if self._running is not None:
            state = self._running.scope.setdefault("state", {})
            state["half_closed"] = True
            state.get("on_half_close", _nothing)()
        return self.scheme == "http" and self._in_head and self._busy()

    def shutdown(self) -> None:
        """Answers what is complete, then closes as uvicorn does."""
        self._settle()
        self._outbox.flush()
        super().shutdown()
        if self.transport.is_closing():
            self._part()

    def data_received(self, data: bytes) -> None:
        """Parses *data*; rejects an invalid or too large request."""
        self._unset_keepalive_if_required()
        if self._deaf:
            return
        self._turns = _MOST_AT_ONCE
        self._unheard += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(self._status)
            return
        if self._unheard > _LARGEST_HEAD:
            self._refuse(431)
            return
        if self._reading or self._heads.any_held:
            self._arrived = self._arrived + len(data) if self._in_head else self._unheard
            self._heads.hold(self, self._arrived if self._reading and not self._deaf else 0)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_websocket():
                self._become_websocket(data[upgrade.args[0] :])
                return
            # Other protocols are unsupported: the request is parsed again without the offer.
            # (httptools treats its body as data of that protocol.)
            again = self._head(offer=False) + data[upgrade.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(again)

    def _head(self, *, offer: bool = True) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        return head(method, self.url, version, self.headers, offer=offer)

    def _is_websocket(self) -> bool:
        """Returns whether the request offers a WebSocket upgrade that the application accepts."""
        offered = dict(self.headers)
        fresh = not self.pipeline and not self._busy()
        return (
            fresh
            and offered.get(b"upgrade", b"").lower() == b"websocket"
            and self._application.upgrades(offered.get(b"host", b""), self.url)
        )

    def _become_websocket(self, rest: bytes) -> None:
        self._outbox.flush()
        self.connections.discard(self)
        self._deaf = True
        websocket = WebSocketConnection(
            self._metrics, self.config, self.server_state, self.app_state
        )
        websocket.take(self.transport, self._head() + rest)

    def _refuse(self, status: int) -> None:
        """Ends the connection with *status*, after the responses that are in progress."""
        self._heads.release(self)
        self._settle()
        if self._deaf:
            return  # the final response is sent already
        self._deaf = True
        if self.pipeline and not self._in_head:
            self.pipeline.popleft()  # it stays incomplete, and has not begun
            self._in_head = True
        elif self._busy() and not self._in_head:
            self._break_off(status)
            return
        self._metrics.request("other", "other", status, 0)
        logs.malformed(self.client[0].removeprefix("::ffff:") if self.client else "unix", status)
        if self._busy():
            self._last_word = status
        else:
            self._say_last(status)

    def _break_off(self, status: int) -> None:
        """Cancels the running request, as its body stays incomplete; ends with *status*."""
        cycle = self.cycle
        cycle.scope.setdefault("state", {})["refused"] = status  # for the log
        cycle.disconnected = True
        cycle.message_event.set()
        self._say_last(status)

    def _say_last(self, status: int) -> None:
        """Ends the connection with *status*, unless a response to that request has begun."""
        running = self._running
        answered = not self._in_head and running is not None and running.response_started
        if not answered and not self.transport.is_closing():
            self._outbox.put(self.transport, farewell(status))
        self._close()

    def _refuse_from_callback(self, status: int) -> None:
        self._status = status
        raise _Refused  # httptools turns it into an HttpParserError

    # ---- callbacks of httptools

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._settle()
        # The ASGI scope is created only if ASGI is used: see _begin.
        self._release_head()
        self.expect_100_continue = False
        self._reading = self._in_head = self._bare = True
        self._head_size = self._fields = self._unheard = self._arrived = 0
        self._deadline = self._in(self._limits.read_header)

    def on_url(self, url: bytes) -> None:
        """Adds a part of the URL."""
        self._unheard = 0
        self._head_size += len(url)
        if self._head_size > _LARGEST_HEAD:
            self._refuse_from_callback(414)
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a field of the head."""
        self._fields += 1
        self._unheard = 0
        self._head_size += len(name) + len(value)
        if self._head_size > _LARGEST_HEAD or self._fields > _MOST_FIELDS:
            self._refuse_from_callback(431)
        if not self._in_head:
            return  # trailers are ignored
        name = name.lower()
        if name == b"host":
            self._hosts.append(value)
        elif name == b"transfer-encoding":
            self._codings.append(value)
        if name in _OF_A_BODY and value != b"0":
            self._bare = False
            self.expect_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Checks the head, and decides whether the request may be answered without ASGI."""
        if self._deaf:
            self._refuse_from_callback(400)  # input after the final response is ignored
        self._version = self.parser.get_http_version()
        framing = (self._version, self._hosts, self._codings)
        if framing != self._sound:  # mostly equal in all requests of a client
            if status := faulty(*framing):
                self._refuse_from_callback(status)
            self._sound = framing if self._head_size <= FREE_BYTES else None
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._refuse_from_callback(429)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse_from_callback(400)
            return
        self._in_head = False
        at_once = self._bare and self._turns > 0 and not self._busy()
        self._held = at_once and not self.flow.write_paused
        if not self._held:
            self._begin()

    def _begin(self) -> None:
        """Starts the ASGI application for the request; its body may be incomplete."""
        self._held = False
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        # httptools cannot split a URL of 64 KiB.
        self.url, _, query = url.partition(b"#")[0].partition(b"?")
        self.headers, self.expect_100_continue = headers, expect
        cast(Any, self.scope)["headers"] = headers
        super().on_headers_complete()
        cast(Any, self.scope)["query_string"] = query
        self._release_head()
        self._deadline = self._in(self._limits.read)

    def on_chunk_header(self) -> None:
        """Records progress."""
        self._unheard = 0

    def on_body(self, body: bytes) -> None:
        """Passes a part of the body to the ASGI application."""
        self._unheard = 0
        if self._held:
            self._begin()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request: puts it into the batch, or completes it for ASGI."""
        self._unheard = 0
        if self.parser.should_upgrade():
            return
        self._reading = False
        self._in_head = True
        if self._held:
            if self._waits():
                return
            self._begin()
        self._complete()

    def _complete(self) -> None:
        super().on_message_complete()
        self._deadline = math.inf
        if self.cycle.response_complete:
            self._release_request()
            self._deadline = self._in(self._limits.idle)

    @property
    def also(self) -> Fields:
        """The fields that the server adds to every response."""
        return self.server_state.default_headers

    def _waits(self) -> bool:
        """Puts the held request into the batch. Returns False if it needs ASGI."""
        method, url = self.parser.get_method().decode("ascii"), self.url
        path = url.partition(b"?")[0]
        if b"#" in url or not self._application.may_answer(method, path):
            return False
        keep = self._version != "1.0" and self.parser.should_keep_alive()
        self._waiting = Request(method, url, self.headers, self.client, self._version, keep)
        self._deadline = self._in(self._limits.idle)
        self._release_head()
        self._inbox.put(self)
        return True

    def _settle(self) -> None:
        """Answers the waiting request now, alone."""
        if self._waiting is not None:
            self._inbox.answer([self])

    def take(self) -> Request | None:
        """Returns the waiting request, once."""
        request, self._waiting = self._waiting, None
        return request

    def give(self, request: Request, answer: Answer) -> None:
        """Sends *answer*, or runs the ASGI application that it is (None: the default one)."""
        if not isinstance(answer, bytes):
            self._hand_on(request, self.app if answer is None else answer)
            return
        self._held = False
        self._turns -= 1
        if not answer:
            self._deaf = True
            self._outbox.flush()
            self.transport.abort()
            return
        self._outbox.put(self.transport, answer)
        self.server_state.total_requests += 1
        if not request.keep_alive:
            self._deaf = True
            self._close()

    def _hand_on(self, request: Request, application: Any) -> None:
        """Answers *request* through *application*. The parser may be at a later request by now."""
        self.url, self.headers = request.url, request.headers
        own, self.app = self.app, application
        parser, self.parser = self.parser, cast(Any, Heard(request))
        try:
            self._begin()
            self._complete()
        except httptools.HttpParserError:
            self._refuse(400)
        finally:
            self.parser, self.app = parser, own

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        cycle.transport = Outgoing(self.transport, self._outbox)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Begins the idle time, or closes the connection if it has to end."""
        super().on_response_complete()
        if self._busy():
            return  # with the next pipelined request
        if self._last_word:
            self._say_last(self._last_word)
        elif self._eof:
            self._close()
        else:
            deadline = self._in(self._limits.idle)
            if self._in_head:
                self._release_request()
            if not self._reading:
                self._deadline = deadline
