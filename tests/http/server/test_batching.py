"""Requests that a connection collects until the end of the event loop's iteration."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.api.delivery import to_request
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.response import RawHeaders
from headgate_server.serving.batch import Batch, BatchAnswer
from headgate_server.serving.connection_limits import ConnectionLimits
from headgate_server.serving.head_memory import HeadBudget
from headgate_server.serving.http_protocol import Connection
from headgate_server.serving.idle_connections import IdleConnections
from headgate_server.serving.server_state import ServerState
from headgate_server.telemetry.metrics import Metrics

LIMITS = ConnectionLimits(10, 30, 30, 180, 0)


class Line(asyncio.Transport):
    """A transport that stores the written bytes."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent, self.closed = b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Does nothing, because the test itself passes the data to the connection."""

    resume_reading = pause_reading


class Application:
    """Answers with the URL. /broken ends the connection; /later and /asgi have to wait.

    `done` has the URL of each request, with its body after it.
    """

    def __init__(self) -> None:
        self.done: list[bytes] = []

    def accepts_websocket(self, host: bytes, url: bytes) -> bool:
        return False

    def handle_batch(
        self, requests: Sequence[ParsedRequest], default_fields: RawHeaders
    ) -> list[BatchAnswer]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: ParsedRequest) -> BatchAnswer:
        url = request.url
        if url.partition(b"?")[0] in (b"/later", b"/asgi"):
            return Rest(self, to_request(request, None).scope, request.body)
        self.done.append(url + request.body)
        return b"<" + url + b">" if url != b"/broken" else b""

    async def __call__(self, scope: Any, receive: Any, send: Any, body: bytes = b"") -> None:
        path, is_complete = scope["raw_path"], False
        while not is_complete:
            message = await receive()
            body += message.get("body", b"")
            is_complete = not message.get("more_body")
        self.done.append(path + body)
        headers = [(b"content-length", b"%d" % len(path))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": path})


class Rest:
    """The rest of a request that has to wait: *application* answers it."""

    def __init__(self, application: Application, scope: Any, body: bytes) -> None:
        self.scope, self.context = scope, copy_context()
        self._application, self._body = application, body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._application(scope, receive, send, self._body)


def run(steps: Callable[[Connection, Line], Awaitable[None]]) -> list[bytes]:
    """Runs *steps* with a new connection. Returns the URLs that were handled."""
    application = Application()

    async def main() -> None:
        heads, idle, batch = HeadBudget(), IdleConnections(), Batch(application)
        connection = Connection(LIMITS, heads, idle, Metrics(), application, batch, ServerState())
        line = Line()
        connection.connection_made(line)
        await steps(connection, line)

    asyncio.run(main())
    return application.done


def get(*urls: str) -> bytes:
    return "".join(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n" for url in urls).encode()


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_answers_keep_their_order_whatever_gives_them() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/a", "/later", "/b", "/asgi", "/c"))
        await some_turns()
        # Behind a request that has to wait, all go through ASGI.
        bodies = [line.partition(b"HTTP/")[0] for line in line.sent.split(b"\r\n\r\n")]
        assert bodies == [b"</a>", b"/later", b"/b", b"/asgi", b"/c"]

    assert run(steps) == [b"/a", b"/later", b"/b", b"/asgi", b"/c"]


def test_nothing_is_done_behind_what_was_broken_off() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/a", "/broken", "/never", "/asgi"))
        await some_turns()
        assert line.sent == b"</a>" and line.closed

    assert run(steps) == [b"/a", b"/broken"]


def test_what_was_whole_is_done_though_the_client_is_gone() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/later"))
        line.closed = True
        connection.connection_lost(ConnectionResetError())
        await some_turns()
        assert line.sent == b""

    assert run(steps) == [b"/later"]


def test_nothing_holds_a_connection_that_the_client_broke_off() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/asgi"))
        await some_turns()
        assert line.sent.endswith(b"/asgi")
        connection.connection_lost(ConnectionResetError())
        loop = asyncio.get_running_loop()
        holders = [one for one in gc.get_referrers(connection) if one is not loop]
        assert not any(isinstance(one, asyncio.TimerHandle) for one in holders)
        assert connection not in connection._state.connections

    assert run(steps) == [b"/asgi"]


def test_a_client_that_sends_all_and_half_closes_is_answered() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/a"))
        assert line.sent == b""
        assert connection.eof_received() is False
        assert line.sent == b"</a>"

    assert run(steps) == [b"/a"]


def test_an_idle_connection_keeps_no_login() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        secret = b"GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c2VjcmV0OnNlY3JldA==\r\n\r\n"
        now = asyncio.get_running_loop().time()
        connection.data_received(secret)
        await some_turns()
        connection.check_deadlines(now + 1)
        assert connection._last_headers is not None
        assert connection._last_read is not None
        connection.check_deadlines(now + 10)
        assert connection._last_headers is None
        assert connection._last_read is None

    run(steps)


def post(url: str, body: str) -> bytes:
    return f"POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


# Each with the URL and the body that the application receives.
REQUESTS: list[tuple[bytes, bytes]] = [
    (get("/a"), b"/a"),
    (get("/b"), b"/b"),
    (get("/later"), b"/later"),
    (b"\r\n" + get("/a"), b"/a"),
    (b"GET http://x/asgi HTTP/1.1\r\nHost: x\r\n\r\n", b"/asgi"),
    (b"GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"/a"),
    (post("/a", "one"), b"/aone"),
    (post("/a", "two"), b"/atwo"),
    (post("/later", "one"), b"/laterone"),
    (
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\non\r\n1\r\ne\r\n0\r\n\r\n",
        b"/aone",
    ),
]


@given(st.data(), st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=8))
def test_every_request_is_answered_once_however_its_bytes_arrive(
    data: st.DataObject, requests: list[tuple[bytes, bytes]]
) -> None:
    """Also if the bytes of a read are those of the read before, in the middle of a request."""
    sent = b"".join(request for request, _ in requests)
    bounds = [0]
    for request, _ in requests:
        bounds.append(bounds[-1] + len(request))
    at_bounds = st.lists(st.sampled_from(bounds)) | st.just(bounds)
    cuts = data.draw(st.tuples(at_bounds, st.lists(st.integers(0, len(sent)), max_size=4)))
    places = sorted({0, len(sent), *cuts[0], *cuts[1]})
    pauses = data.draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places)))

    async def steps(connection: Connection, line: Line) -> None:
        for start, end, pause in zip(places, places[1:], pauses, strict=False):
            connection.data_received(sent[start:end])
            if pause:
                await some_turns()
        for _ in requests:
            await some_turns()

    assert run(steps) == [done for _, done in requests]


@pytest.mark.parametrize("first", [b"GET /a HTTP/1.1\r\nHost: x\r\n", b"GET /a HTT"])
def test_a_read_that_equals_the_last_request_may_be_a_part_of_another(first: bytes) -> None:
    async def steps(connection: Connection, line: Line) -> None:
        for read in (get("/b"), first, get("/b")):
            connection.data_received(read)
            await some_turns()
        assert line.sent.startswith(b"</b>HTTP/1.1 400 ")

    assert run(steps) == [b"/b"]


def test_a_repeated_request_behind_a_broken_one_is_not_done() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        connection.data_received(get("/broken"))
        connection.data_received(get("/broken"))
        await some_turns()
        assert line.closed

    assert run(steps) == [b"/broken"]


LARGE = 100_000
URL, FIELD = "u" * LARGE, "f" * LARGE
HEAD = b"Host: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        get(f"/a?{URL}"),
        get(f"/asgi?{URL}"),
        f"GET /a HTTP/1.1\r\nX: {FIELD}\r\n".encode() + HEAD,
        f"GET /later HTTP/1.1\r\nX: {FIELD}\r\n".encode() + HEAD,
        f"GET /asgi HTTP/1.1\r\nX: {FIELD}\r\n".encode() + HEAD,
        f"GET /a HTTP/1.1\r\nHost: {FIELD}\r\n\r\n".encode(),
        f"GET /asgi HTTP/1.1\r\nHost: {FIELD}\r\n\r\n".encode(),
        f"POST /asgi HTTP/1.1\r\nX: {FIELD}\r\nContent-Length: 1\r\n".encode() + HEAD + b"b",
        f"POST /asgi HTTP/1.1\r\nContent-Length: {LARGE}\r\n".encode() + HEAD + b"b" * LARGE,
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_an_idle_connection_holds_nothing_of_its_last_request(request_: bytes, parts: int) -> None:
    async def steps(connection: Connection, line: Line) -> None:
        size = len(request_) // parts + 1
        for start in range(0, len(request_), size):
            connection.data_received(request_[start : start + size])
            await some_turns()
        assert line.sent
        line.sent = b""
        assert connection.idle_since is not None
        assert held_bytes(connection) < LARGE

    run(steps)


def held_bytes(connection: Connection) -> int:
    """Returns the number of bytes reachable from *connection*, except through code."""
    seen, waiting, total = {id(connection)}, list[object](connection.__dict__.values()), 0
    while waiting:
        one = waiting.pop()
        code = isinstance(one, type | FunctionType | ModuleType | asyncio.AbstractEventLoop)
        if id(one) in seen or code or isinstance(one, Application):
            continue
        seen.add(id(one))
        total += len(one) if isinstance(one, bytes | bytearray | str) else 0
        waiting += gc.get_referents(one)
    return total


def test_a_connection_is_in_use_while_its_request_waits_in_the_batch() -> None:
    async def steps(connection: Connection, line: Line) -> None:
        assert connection.idle_since is not None
        connection.data_received(get("/a"))
        assert connection.idle_since is None
        await some_turns()
        assert line.sent == b"</a>" and connection.idle_since is not None

    assert run(steps) == [b"/a"]
