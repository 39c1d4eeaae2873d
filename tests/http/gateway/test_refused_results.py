"""An upstream store returns more results than statements: the client gets no byte of the extra
results.
"""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from headgate_server.upstream.errors import UnexpectedResults
from support.gateway_fixtures import TWO, configured, upstream
from support.local_server import serve_on
from support.raw_upstream import raw_upstream
from support.scripted_gateway import ScriptedGateway
from support.scripted_upstream import (
    ASYNC,
    CHUNKED,
    Got,
    Script,
    encoded,
    fetch,
    halves,
    rows,
    sends,
)
from support.servers import ROOT
from support.waiting import poll_until

SEVERAL = UnexpectedResults.text
TEXT = "SELECT v FROM m"
FORMATS = ("json", "csv", "msgpack")
SECRET = "other"  # the content of the second result
SMALL = rows(3)
LARGE = rows(20_000)
OTHER = rows(3, SECRET)


class World(ScriptedGateway):
    """A gateway in front of an upstream store with responses set by the test."""

    def ask(self, text: str, name: str, *parts: Any, more: bytes = b"", **fields: Any) -> Got:
        self.script.answers[TEXT] = sends(*parts, more=more)
        got = fetch(self.server, text, ROOT, name, db="a", **fields)
        assert SECRET.encode() not in got.body
        return got


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("refused")
    with raw_upstream(Script()) as store:
        server = configured(
            serve_on(folder / "users.db"), folder, upstream("influxdb1", urls=[store.url])
        ).bootstrap(TWO)
        yield World(server, store)
        server.stop()


def chunks(name: str, *contents: dict[str, Any]) -> list[bytes]:
    """Encodes each content as a document with its number, in the format of `chunked`."""
    found = []
    for id, content in enumerate(contents):
        whole = encoded(name, content)
        if name == "json":
            whole = whole.replace(b'"statement_id":0', b'"statement_id":%d' % id, 1)
        elif name == "msgpack":
            whole = whole.replace(b"\xacstatement_id\x00", b"\xacstatement_id" + bytes([id]), 1)
        elif id:
            whole = b"\n" + whole
        found.append(whole)
    return found


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", FORMATS)
def test_more_results_in_the_first_part_are_refused(
    world: World, name: str, version: str, packed: bool
) -> None:
    whole = encoded(name, SMALL, OTHER)
    got = world.ask(TEXT, name, whole, version=version, packed=packed)
    assert got.status == 502 and got.whole and SEVERAL.encode() in got.body
    # A valid answer passes.
    sound = encoded(name, SMALL)
    assert world.ask(TEXT, name, sound, version=version, packed=packed) == Got(200, True, sound)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["json", "csv"])
def test_more_results_later_break_the_connection_off(world: World, name: str, packed: bool) -> None:
    whole = encoded(name, LARGE, OTHER)
    got = world.ask(TEXT, name, *halves(whole), packed=packed)
    assert got.status == 200 and not got.whole and got.body


@pytest.mark.parametrize("name", FORMATS)
def test_more_results_are_refused_in_chunks(world: World, name: str) -> None:
    first, other = chunks(name, SMALL, OTHER)
    got = world.ask(TEXT, name, first + other, chunked="true")
    assert got.status == 502 and SEVERAL.encode() in got.body
    several = chunks(name, LARGE, OTHER)
    got = world.ask(TEXT, name, *several, chunked="true")
    assert got.status == 200 and not got.whole


@pytest.mark.parametrize("name", FORMATS)
def test_more_results_are_refused_in_one_document_of_several_chunks(
    world: World, name: str
) -> None:
    got = world.ask(TEXT, name, encoded(name, SMALL, OTHER), chunked="true")
    assert got.status == 502 and SEVERAL.encode() in got.body


def test_what_the_store_packed_is_looked_into(world: World) -> None:
    more = b"Content-Encoding: gzip\r\n"
    first = gzip.compress(encoded("json", SMALL, OTHER))
    got = world.ask(TEXT, "json", first, more=more, packed=True)
    assert got.status == 502 and SEVERAL.encode() in got.body
    # A few bytes at a time, and in several gzip members.
    parts = [first[begin : begin + 7] for begin in range(0, len(first), 7)]
    got = world.ask(TEXT, "json", *parts, more=more, packed=True)
    assert got.status == 502 or not got.whole
    one, two = halves(encoded("json", LARGE, OTHER))
    members = (gzip.compress(one), gzip.compress(two))
    got = world.ask(TEXT, "json", *members, more=more, packed=True)
    assert got.status == 502 or not got.whole
    sound = encoded("json", LARGE)
    got = world.ask(TEXT, "json", *halves(gzip.compress(sound)), more=more, packed=True)
    assert got == Got(200, True, sound)


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", [TEXT, f"{TEXT}; {TEXT}", f"DROP MEASUREMENT x; {TEXT}"])
def test_what_cannot_be_looked_into_is_refused(
    world: World, text: str, name: str, encoding: str
) -> None:
    more = f"Content-Encoding: {encoding}\r\n".encode()
    got = world.ask(text, name, b"\x1f\x8bwhatever", more=more)
    assert (got.status, b"whatever" in got.body) in ((502, False), (200, False))
    assert got.status == 502 or b"gave no answer that can be understood" in got.body


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", FORMATS)
def test_more_results_are_refused_in_a_query_of_several_statements(
    world: World, name: str, version: str, packed: bool
) -> None:
    whole = encoded(name, SMALL, OTHER)
    options: dict[str, Any] = {"version": version, "packed": packed}
    got = world.ask(f"{TEXT}; SHOW MEASUREMENTS", name, whole, **options)
    assert got.status == 502 and SEVERAL.encode() in got.body
    # For a later statement the error is its result.
    got = world.ask(f"SHOW USERS; {TEXT}; SHOW USERS", name, whole, **options)
    assert got.status == 200 and got.whole
    assert got.body.count(SEVERAL.encode()) == 1 and got.body.count(b"not executed") == 1
    later = encoded(name, LARGE, OTHER)
    got = world.ask(f"SHOW USERS; {TEXT}", name, *halves(later), **options)
    if name == "msgpack":  # the first bytes contain the number of results
        assert got.status == 200 and SEVERAL.encode() in got.body
    elif version == "1.0":
        assert got.status == 502 and SEVERAL.encode() in got.body
    else:
        assert got.status == 200 and not got.whole


@pytest.mark.parametrize("pretty", ["", "true"])
@pytest.mark.parametrize("name", FORMATS)
def test_more_results_are_refused_in_chunks_of_several_statements(
    world: World, name: str, pretty: str
) -> None:
    if pretty and name != "json":
        return
    fields: dict[str, Any] = CHUNKED | ({"pretty": pretty} if pretty else {})
    joined = b"".join(chunks(name, SMALL, OTHER))
    for whole in (encoded(name, SMALL, OTHER), joined):
        got = world.ask(f"SHOW USERS; {TEXT}; SHOW USERS", name, whole, **fields)
        assert got.status == 200 and got.whole
        if not pretty:  # with `pretty`, compact JSON is refused with another error
            assert got.body.count(SEVERAL.encode()) == 1
        assert got.body.count(b"not executed") == 1


@pytest.mark.parametrize("name", FORMATS)
def test_an_asynchronous_query_goes_no_further(world: World, name: str) -> None:
    world.script.asked.clear()
    text = f"{TEXT}; DROP MEASUREMENT never"
    got = world.ask(text, name, encoded(name, SMALL, OTHER), **ASYNC)
    assert got.status == 204
    expected = FORMATS.index(name) + 1
    poll_until(lambda: world.server.log().count("asynchronous query failed") == expected, "no end")
    assert world.server.log().count(SEVERAL) >= expected
    assert "DROP MEASUREMENT never" not in world.script.asked


def test_a_change_with_more_results_is_refused(world: World) -> None:
    world.script.answers["DROP MEASUREMENT m"] = sends(encoded("json", {}, OTHER))
    got = fetch(world.server, "DROP MEASUREMENT m", ROOT, db="a")
    assert got.status == 502 and SEVERAL.encode() in got.body and SECRET.encode() not in got.body
    got = fetch(world.server, "SHOW USERS; DROP MEASUREMENT m", ROOT, db="a")
    assert got.errors == ["", SEVERAL]
