"""Queries of several reading statements: the gateway streams each upstream response."""

import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.local_server import serve_on
from support.raw_connections import connected, read_until
from support.raw_upstream import raw_upstream
from support.scripted_gateway import ScriptedGateway
from support.scripted_upstream import (
    ACCEPT,
    CHUNKED,
    EMPTY,
    PLAIN,
    Script,
    closes,
    encoded,
    fetch,
    halves,
    headers,
    rows,
    sends,
    status,
)

A, B, C = "SELECT v FROM a", "SELECT v FROM b", "SELECT v FROM c"
FORMATS = ("json", "csv", "msgpack")
BROKEN = "the upstream store broke off, or gave no answer that can be understood"
SMALL, LARGE = rows(3), rows(20_000)
# One byte: an answer that has to be buffered is refused.
NOTHING_HELD = "max-buffered-size = 1"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedGateway]:
    folder = tmp_path_factory.mktemp("pieces")
    with raw_upstream(Script()) as store:
        # Creating databases needs a buffer, so the limit is set afterwards.
        table = upstream("influxdb1", urls=[store.url])
        configured(serve_on(folder / "users.db"), folder, table).bootstrap(TWO).stop()
        server = configured(serve_on(folder / "users.db"), folder, table, gateway=NOTHING_HELD)
        yield ScriptedGateway(server, store)
        server.stop()


@pytest.fixture
def world(running: ScriptedGateway) -> ScriptedGateway:
    running.reset()
    return running


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_first_result_arrives_before_the_second_statement_is_sent(
    world: ScriptedGateway, name: str, packed: bool
) -> None:
    arrived = threading.Event()
    first, second = encoded(name, LARGE), encoded(name, SMALL)
    begin, end = halves(first)
    world.script.answers = {
        A: sends(begin, lambda: arrived.wait(20), end),
        B: sends(second),
    }
    form = urlencode({"q": f"{A}; {B}", "db": "a"})
    sent = headers(ANN, ACCEPT[name], packed=packed) | {"Content-Length": str(len(form))}
    head = "POST /query HTTP/1.1\r\nHost: x\r\n"
    head += "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    with connected(world.server) as line:
        line.sendall(f"{head}\r\n{form}".encode())
        # A part of the body may come with the head.
        got = len(read_until(line, b"\r\n\r\n").partition(b"\r\n\r\n")[2])
        while got < 10_000:  # longer than the response head
            part = line.recv(65536)
            assert part
            got += len(part)
        assert world.script.asked == [A]
        arrived.set()
        read_until(line, b"\r\n0\r\n\r\n")
    assert world.script.asked == [A, B]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_held_of_answers_in_pieces(
    world: ScriptedGateway, name: str, packed: bool
) -> None:
    """The limit of this gateway is one byte, so a buffered answer would be refused."""
    contents = (LARGE, SMALL, LARGE)
    texts = (A, B, C)
    world.script.answers = {
        text: sends(*halves(encoded(name, content)))
        for text, content in zip(texts, contents, strict=True)
    }
    got = fetch(world.server, "; ".join(texts), ANN, name, packed=packed, db="a")
    assert got.status == 200 and got.whole
    assert got.body == encoded(name, *contents)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["short", "long"])
def test_an_answer_that_breaks_off_never_looks_whole(
    world: ScriptedGateway, name: str, place: int, content: dict[str, object]
) -> None:
    texts = (A, B, C)
    world.script.answers = {text: sends(encoded(name, LARGE)) for text in texts}
    begin, _ = halves(encoded(name, content))
    world.script.answers[texts[place]] = sends(begin, whole=False)
    got = fetch(world.server, "; ".join(texts), ANN, name, db="a")
    if got.whole and got.status == 200:
        # The answer broke off before the gateway had sent any part of it.
        assert BROKEN.encode() in got.body
        assert got.body.count(b"not executed") == 2 - place
    else:
        assert got.status in (200, 502) and (got.status == 502) is got.whole
    assert world.script.asked == [*texts[:place], *[texts[place]] * 2][: len(world.script.asked)]


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_without_its_end_never_looks_whole(world: ScriptedGateway, name: str) -> None:
    """Without a length, HTTP does not show that a body ended early: the gateway parses it."""
    if name == "csv":
        begin = encoded(name, SMALL)[:-3]
    else:
        begin, _ = halves(encoded(name, SMALL))

    def until_end(line: socket.socket, request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + begin)

    world.script.answers = {A: sends(encoded(name, LARGE)), B: until_end}
    got = fetch(world.server, f"{A}; {B}", ANN, name, db="a")
    assert not got.whole or BROKEN.encode() in got.body


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (closes, BROKEN),
        (status(500, "it hurts"), "it hurts"),
        (status(400, "no such thing"), "no such thing"),
        (sends(b"<html>"), BROKEN),
        (sends(b""), BROKEN),
    ],
    ids=["closes", "500", "400", "html", "empty"],
)
def test_a_store_that_fails_later_is_that_statements_error(
    world: ScriptedGateway, failing: Callable[[socket.socket, bytes], None], error: str
) -> None:
    world.script.answers = {A: sends(encoded("json", LARGE)), B: failing}
    got = fetch(world.server, f"{A}; {B}; {C}; SHOW MEASUREMENTS", ANN, db="a")
    assert (got.status, got.whole) == (200, True)
    assert got.errors == ["", error, "not executed", "not executed"]
    assert [result["statement_id"] for result in got.results] == [0, 1, 2, 3]
    assert C not in world.script.asked


@pytest.mark.parametrize("name", ["csv", "msgpack"])
def test_such_an_error_is_told_in_each_format(world: ScriptedGateway, name: str) -> None:
    world.script.answers = {A: sends(encoded(name, SMALL)), B: closes}
    got = fetch(world.server, f"{A}; {B}; {C}", ANN, name, db="a")
    assert (got.status, got.whole) == (200, True)
    assert got.body.count(BROKEN.encode()) == 1 and got.body.count(b"not executed") == 1


def test_an_error_in_a_result_stops_the_query(world: ScriptedGateway) -> None:
    world.script.answers = {A: sends(encoded("json", {"error": 'no "such" function'}))}
    got = fetch(world.server, f"{A}; {B}", ANN, db="a")
    assert got.errors == ['no "such" function', "not executed"]
    assert world.script.asked == [A]


def test_a_client_that_leaves_ends_the_answer_of_the_store(world: ScriptedGateway) -> None:
    left = threading.Event()

    def endless(line: socket.socket, request: bytes) -> None:
        sends(encoded("json", LARGE)[:-6], whole=False)(line, request)
        part = b',[1,"%b"]' % (b"x" * 1000)
        try:
            while True:
                line.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        except OSError:
            left.set()

    world.script.answers = {A: endless}
    form = urlencode({"q": f"{A}; {B}", "db": "a"})
    sent = headers(ANN, "*/*") | {"Content-Length": str(len(form))}
    head = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
    with connected(world.server) as line:
        line.sendall(f"POST /query HTTP/1.1\r\nHost: x\r\n{head}\r\n{form}".encode())
        read_until(line, b'"x')
    assert left.wait(20), "the store is still sending"
    assert B not in world.script.asked


def test_measurements_and_series_called_error_are_handed_on(world: ScriptedGateway) -> None:
    """The gateway repeats a query in JSON after a MessagePack error; a name is not an error."""
    series = [{"name": "error", "columns": ["error"], "values": [["error"]]}]
    body = encoded("msgpack", {"series": series})
    world.script.answers = {A: sends(*(bytes([byte]) for byte in body))}
    for text in (A, f"{A}; SHOW DATABASES"):
        world.script.asked.clear()
        got = fetch(world.server, text, ANN, "msgpack", db="a")
        assert got.status == 200 and body[20:] in got.body
        assert world.script.asked == [A]


def test_one_statement_alone_is_handed_on_without_room(world: ScriptedGateway) -> None:
    body = encoded("json", LARGE)
    world.script.answers = {A: sends(*halves(body))}
    for more in (PLAIN, CHUNKED):
        assert fetch(world.server, A, ANN, db="a", **more).body == body


def test_http_1_0_has_one_answer_with_a_length(world: ScriptedGateway) -> None:
    """HTTP/1.0 needs a Content-Length, for which the gateway buffers: more than one byte fails."""
    world.script.answers = {A: sends(EMPTY)}
    for text in (A, f"{A}; {B}"):
        got = fetch(world.server, text, ANN, version="1.0", db="a")
        assert (got.status, got.whole) == (503, True)
