"""The memory budget of a worker process for buffered responses of upstream stores."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.http.errors import Overloaded
from headgate_server.upstream.errors import UpstreamProtocolError
from headgate_server.upstream.influxql import iter_documents
from headgate_server.upstream.memory_budget import BufferBudget, Reservation
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.local_server import serve_on
from support.raw_connections import connected
from support.raw_upstream import raw_upstream
from support.scripted_gateway import ScriptedGateway
from support.scripted_upstream import (
    ASYNC,
    CHUNKED,
    Got,
    Script,
    closes,
    encoded,
    fetch,
    headers,
    rows,
    sends,
)
from support.waiting import poll_until

MOST = 100


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(["grow", "release", "part"]), st.integers(0, 70)
        )
    )
)
def test_the_budget_is_never_exceeded_and_all_comes_back(
    steps: list[tuple[int, str, int]],
) -> None:
    buffers = BufferBudget(MOST)
    requests = [buffers.reserve(), buffers.reserve()]
    holds: list[Reservation] = [*requests]
    for which, step, size in steps:
        hold = holds[which % len(holds)]
        if step == "grow":
            before = buffers.reserved_bytes
            try:
                hold.grow(size)
            except Overloaded:
                assert before + size > MOST and buffers.reserved_bytes == before
        elif step == "release":
            before = buffers.reserved_bytes
            hold.release()
            assert buffers.reserved_bytes <= before
            hold.release()
        else:
            holds.append(hold.child())
        assert 0 <= buffers.reserved_bytes <= MOST
    for request in requests:
        request.release()
    assert buffers.reserved_bytes == 0
    for hold in holds:  # parts of responses, released after their request ended
        hold.release()
    assert buffers.reserved_bytes == 0


def test_a_part_is_released_by_itself() -> None:
    buffers = BufferBudget(MOST)
    request = buffers.reserve()
    request.grow(60)
    part = request.child()
    part.grow(30)
    with pytest.raises(Overloaded):
        part.grow(11)
    part.release()
    assert buffers.reserved_bytes == 60
    part.grow(40)
    request.release()
    part.release()
    assert buffers.reserved_bytes == 0


async def of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(
    documents=st.lists(st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b"."))),
    size=st.integers(1, 50),
)
def test_documents_are_charged_for_as_long_as_they_are_held(
    documents: list[bytes], size: int
) -> None:
    whole = b"\n".join(documents)
    parts = [whole[begin : begin + size] for begin in range(0, len(whole), size)]
    buffers = BufferBudget(1000)
    hold = buffers.reserve()

    async def read() -> list[bytes]:
        found = []
        async for line in iter_documents(of(*parts), hold):
            assert len(line) <= buffers.reserved_bytes <= max(map(len, documents)) + size
            found.append(line)
        return found

    assert asyncio.run(read()) == documents
    hold.release()
    assert buffers.reserved_bytes == 0


def test_a_document_beyond_the_budget_is_refused() -> None:
    async def read(most: int, *parts: bytes) -> None:
        async for _ in iter_documents(of(*parts), BufferBudget(most).reserve()):
            pass

    with pytest.raises(Overloaded):
        asyncio.run(read(100, *[b"x" * 30] * 4))
    asyncio.run(read(100, *[b"x" * 30 + b"\n"] * 40))
    with pytest.raises(UpstreamProtocolError):
        asyncio.run(read(1 << 30, *[b"x" * (1 << 20)] * 17))


@pytest.mark.parametrize("value", [0, -1, 1.5, "64MB", True, None, []])
def test_no_other_size_is_taken_than_a_positive_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"\Amax-buffered-size: "):
        read_gateway_settings({"max-buffered-size": value})


def test_the_setting_is_the_budget() -> None:
    assert read_gateway_settings({"max-buffered-size": 5}).max_buffered_size == 5
    assert read_gateway_settings({}).max_buffered_size == 1 << 26


# ---- through a gateway

A, B = "SELECT v FROM a", "SELECT v FROM b"
ROOM = 100_000
FITS = rows(3000)  # more than half of ROOM
TOO_LARGE = rows(8000)
REFUSED = b"too many requests in progress, try again"


class World(ScriptedGateway):
    def held(self, text: str = A, **fields: Any) -> Got:
        """Returns the answer to a query. The gateway buffers the whole answer."""
        return fetch(self.server, text, ANN, "csv", db="a", **CHUNKED, **fields)

    def free(self) -> bool:
        """Returns whether more than half of the budget is free."""
        got = self.held(f"{B}; SHOW DATABASES")  # The response to B alone would be streamed
        assert got.status in (200, 503)
        return got.status == 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("buffers")
    with raw_upstream(Script()) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(
            serve_on(folder / "users.db"), folder, table, gateway=f"max-buffered-size = {ROOM}"
        )
        yield World(server.bootstrap(TWO), store)
        server.stop()


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """Checks that the whole budget is free before and after a test."""
    running.reset()
    running.script.answers[B] = sends(encoded("csv", FITS))
    assert running.free()
    yield running
    poll_until(running.free, "the budget did not come back")


@pytest.mark.slow
def test_what_fits_is_answered_again_and_again(world: World) -> None:
    for _ in range(5):
        assert world.free()


@pytest.mark.slow
def test_the_first_answer_above_it_is_refused_for_now(world: World) -> None:
    world.script.answers[A] = sends(encoded("csv", TOO_LARGE))
    for _ in range(3):
        got = world.held(f"{A}; SHOW DATABASES")
        assert got.status == 503 and REFUSED in got.body
    form = urlencode({"q": f"{A}; {B}", "db": "a", "chunked": "true"}).encode()
    answer = world.server.request("POST", "/query", form, headers(ANN, "text/csv"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("name", ["csv", "msgpack", "json"])
def test_a_later_answer_above_it_is_an_error_in_its_place(world: World, name: str) -> None:
    content = rows(8000)
    world.script.answers[A] = sends(encoded(name, content))
    got = fetch(world.server, f"SHOW DATABASES; {A}; {A}", ANN, name, db="a", chunked="true")
    assert (got.status, got.whole) == (200, True)
    assert got.body.count(REFUSED) == 1 and got.body.count(b"not executed") == 1


def test_an_answer_that_is_understood_is_charged(world: World) -> None:
    world.script.answers["SELECT v INTO c FROM a"] = sends(encoded("json", TOO_LARGE))
    got = fetch(world.server, "SELECT v INTO c FROM a", ANN, db="a")
    assert got.status == 503 and REFUSED in got.body
    got = fetch(world.server, "SHOW DATABASES; SELECT v INTO c FROM a; SHOW DATABASES", ANN, db="a")
    assert got.errors == ["", REFUSED.decode(), "not executed"]


def test_a_failure_gives_back_what_was_held(world: World) -> None:
    world.script.answers[A] = sends(encoded("csv", FITS), whole=False)
    for _ in range(3):
        assert world.held(f"{A}; SHOW DATABASES").status == 502
    world.script.answers[A] = closes
    assert world.held(f"{A}; SHOW DATABASES").status == 502


def test_an_asynchronous_query_gives_back_what_it_held(world: World) -> None:
    for content, whole in ((FITS, True), (TOO_LARGE, True), (FITS, False)):
        world.script.answers[A] = sends(encoded("csv", content), whole=whole)
        assert world.held(A, **ASYNC).status == 204
        poll_until(world.free, "the budget did not come back")
    assert "unexpected" not in world.server.log()


class Waiting:
    """Sends nine tenths of an answer, and the rest after `go` is set."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, line: socket.socket, request: bytes) -> None:
        half = len(self._content) * 9 // 10
        answer = sends(self._content[:half], self._pause, self._content[half:])
        answer(line, request)

    def _pause(self) -> None:
        self.begun.set()
        self.go.wait(20)


def leaving(world: World, text: str, version: str, **fields: str) -> socket.socket:
    """Sends a query. Returns the connection, without reading the answer."""
    form = urlencode({"q": text, "db": "a"} | fields)
    sent = headers(ANN, "text/csv") | {"Content-Length": str(len(form))}
    head = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    line = connected(world.server)
    line.sendall(f"POST /query HTTP/{version}\r\nHost: x\r\n{head}\r\n{form}".encode())
    return line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "fields"), [("1.0", {}), ("1.1", {"chunked": "true"})], ids=["1.0", "chunked"]
)
def test_a_client_that_leaves_gives_back_what_was_held(
    world: World, version: str, fields: dict[str, str]
) -> None:
    waiting = Waiting(encoded("csv", FITS))
    world.script.answers[A] = waiting
    with leaving(world, f"{A}; SHOW DATABASES", version, **fields):
        assert waiting.begun.wait(20)
        poll_until(lambda: not world.free(), "what is held is not counted")
    poll_until(world.free, "the budget did not come back")
    waiting.go.set()


def test_http_1_0_is_charged_until_its_end_whatever_else_is_released(world: World) -> None:
    """The gateway releases the memory of the second response separately, after parsing."""
    waiting = Waiting(b'{"results":[{"statement_id":0}]}\n')
    world.script.answers[A] = sends(encoded("csv", FITS))
    world.script.answers["DELETE FROM x"] = sends(b'{"results":[{"statement_id":0}]}\n')
    world.script.answers["DELETE FROM y"] = waiting
    text = f"{A}; DELETE FROM x; DELETE FROM y"
    with leaving(world, text, "1.0") as line:
        assert waiting.begun.wait(20)
        assert not world.free()
        waiting.go.set()
        answer = b""
        while part := line.recv(65536):
            answer += part
    assert answer.endswith(encoded("csv", FITS))


def test_http_1_0_is_refused_above_it(world: World) -> None:
    for text in (A, f"{A}; SHOW DATABASES"):
        world.script.answers[A] = sends(encoded("csv", TOO_LARGE))
        got = fetch(world.server, text, ANN, "csv", version="1.0", db="a")
        assert got.status == 503 and REFUSED in got.body
        world.script.answers[A] = sends(encoded("csv", FITS))
        got = fetch(world.server, text, ANN, "csv", version="1.0", db="a")
        assert (got.status, got.whole) == (200, True)
