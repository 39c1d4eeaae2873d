"""Formats of results (JSON, CSV, MessagePack): negotiation, streaming, compression."""

import asyncio
import gzip
import http.client
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.formats.negotiation import media_type
from headgate_server.http.errors import BadRequest, TooLarge
from headgate_server.http.gzip import Compressor, accepts_gzip, decompress
from support.servers import ROOT, Server
from support.waiting import poll_until

JSON, CSV = "application/json", "text/csv"
MSGPACK, APPLICATION_CSV = "application/x-msgpack", "application/csv"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("*", JSON),
        ("text/html", JSON),
        ("text/html, */*;q=0.1", JSON),
        (CSV, CSV),
        (APPLICATION_CSV, APPLICATION_CSV),
        ("TEXT/CSV", CSV),
        (" text/csv ;charset=utf-8", CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", JSON),
        ("application/json;q=0.5, text/csv", CSV),
        ("application/json;q=0.5, text/csv;q=0.4, application/x-msgpack;q=0.9", MSGPACK),
        ("*/*, text/csv", CSV),
        ("text/*, application/x-msgpack", MSGPACK),
        ("text/csv;q=0", JSON),
        ("text/csv;q=zero", JSON),
        ("text/csv;q=nan", JSON),
        ("*/json", JSON),
        ("text", JSON),
        ("/, ;, text/csv", CSV),
        (",".join(["x/y"] * 1000 + [CSV]), JSON),
    ],
)
def test_the_format_is_the_one_accepted_most_gladly(accept: str, expected: str) -> None:
    assert media_type(accept[:1024]) == expected


@given(st.text())
def test_no_accept_is_a_fault_of_the_server(accept: str) -> None:
    assert media_type(accept) in (JSON, CSV, MSGPACK, APPLICATION_CSV)


@pytest.fixture
def root(server: Server) -> Server:
    return server.bootstrap("CREATE DATABASE db")


def ask(server: Server, text: str, accept: str, **fields: str) -> tuple[str, bytes]:
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    headers = {"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"}
    body = f"q={text}&{query}".replace(" ", "+").encode()
    answer = server.request("POST", "/query", body, headers, ROOT)
    return answer.headers["Content-Type"], answer.body


FAILING = "SHOW DATABASES%3B SHOW GRANTS FOR nobody%3B SHOW USERS"


@pytest.mark.parametrize("chunked", ["true", "false"])
def test_errors_of_statements_are_shown_in_csv(root: Server, chunked: str) -> None:
    kind, body = ask(root, FAILING, CSV, chunked=chunked)
    assert kind == CSV
    assert body.decode() == (
        "name,tags,name\ndatabases,,db\n\nerror\nuser not found\n\nerror\nnot executed\n"
    )


def test_errors_of_statements_are_shown_in_message_pack(root: Server) -> None:
    kind, body = ask(root, FAILING, MSGPACK)
    assert kind == MSGPACK
    databases = {"name": "databases", "columns": ["name"], "values": [["db"]]}
    assert msgpack.unpackb(body) == {
        "results": [
            {"statement_id": 0, "series": [databases]},
            {"statement_id": 1, "error": "user not found"},
            {"statement_id": 2, "error": "not executed"},
        ]
    }


def test_chunks_are_documents_of_their_own(root: Server) -> None:
    _, body = ask(root, FAILING, MSGPACK, chunked="true")
    unpacker = msgpack.Unpacker()
    unpacker.feed(body)
    documents: list[Any] = list(unpacker)
    assert [document["results"][0]["statement_id"] for document in documents] == [0, 1, 2]
    _, body = ask(root, FAILING, JSON, chunked="true")
    assert body.count(b"\n") == 3


@pytest.mark.slow
def test_chunks_come_as_they_are_made_and_stop_when_the_client_leaves(root: Server) -> None:
    statements = "%3B".join(f"CREATE+USER+u{i}+WITH+PASSWORD+'x'" for i in range(2000))
    headers = {
        "Authorization": "Basic " + b64encode(":".join(ROOT).encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept-Encoding": "gzip",
    }
    line = http.client.HTTPConnection("127.0.0.1", root.port, timeout=20)
    line.request("POST", "/query", f"chunked=true&q={statements}", headers)
    response = line.getresponse()
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Transfer-Encoding"] == "chunked"
    first = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(response.read1())
    assert first.startswith(b'{"results":[{"statement_id":0}]}\n')
    line.close()
    response.close()
    made = len(root.query("SHOW USERS").rows())
    assert made < 2000, "the first chunk came when all was done"

    def settled() -> bool:
        nonlocal made
        before, made = made, len(root.query("SHOW USERS").rows())
        return before == made

    poll_until(settled, "the query goes on")
    assert made < 2000


def test_an_answer_is_compressed_for_a_client_that_accepts_it(root: Server) -> None:
    path = "/query?q=SHOW+DATABASES"
    plain = root.request("GET", path, basic=ROOT)
    assert "Content-Encoding" not in plain.headers
    packed = root.request("GET", path, None, {"Accept-Encoding": "br, gzip;q=0.5"}, ROOT)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    refused = root.request("GET", path, None, {"Accept-Encoding": "gzip"})
    assert refused.status == 401 and "Content-Encoding" not in refused.headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("deflate, gzip", True),
        ("gzip;q=0.001", True),
        ("gzip; q=1", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("identity", False),
        ("", False),
        ("*", False),
        ("notgzip", False),
    ],
)
def test_which_requests_accept_gzip(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@pytest.mark.slow
def test_a_query_goes_on_after_it_was_answered_with_async(root: Server) -> None:
    statements = ";".join(f"CREATE DATABASE d{i}" for i in range(50))
    answer = root.query(statements, ROOT, **{"async": "true"})
    assert (answer.status, answer.body) == (204, b"")
    poll_until(lambda: len(root.query("SHOW DATABASES").rows()) == 51, "all databases are there")
    assert root.query("CREATE DATABASE e; NONSENSE", ROOT, **{"async": "true"}).status == 400
    assert root.query("SHOW USERS", None, **{"async": "true"}).status == 401


@pytest.mark.slow
def test_sigterm_waits_for_what_was_taken_on_with_async(root: Server) -> None:
    statements = ";".join(f"CREATE USER u{i} WITH PASSWORD 'x'" for i in range(200))
    assert root.query(statements, ROOT, **{"async": "true"}).status == 204
    assert root.stop() == 0
    root.start()
    assert len(root.query("SHOW USERS").rows()) == 201


def pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


async def parts(*given: bytes) -> AsyncGenerator[bytes, None]:
    for part in given:
        yield part


async def unpacked(limit: int, *given: bytes) -> bytes:
    return b"".join([piece async for piece in decompress(parts(*given), limit)])


@given(st.lists(st.binary(max_size=300), min_size=1), st.integers(1, 50))
def test_what_was_packed_is_unpacked_however_it_is_cut(members: list[bytes], cut: int) -> None:
    whole = b"".join(map(pack, members))
    pieces = [whole[i : i + cut] for i in range(0, len(whole), cut)]
    assert asyncio.run(unpacked(0, *pieces)) == b"".join(members)


@pytest.mark.parametrize(
    ("sent", "limit", "error"),
    [
        (pack(b"x" * 10_000_000), 1_000_000, TooLarge),
        (pack(b"x" * 1001), 1000, TooLarge),
        (b"", 0, BadRequest),
        (b"no gzip", 0, BadRequest),
        (pack(b"x" * 1000)[:-1], 0, BadRequest),
        (pack(b"x" * 1000) + b"more", 0, BadRequest),
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    sent: bytes, limit: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        asyncio.run(unpacked(limit, sent))


def test_a_stream_is_readable_piece_by_piece() -> None:
    packer, unpacker = Compressor(), zlib.decompressobj(16 + zlib.MAX_WBITS)
    for document in (b"one\n", b"two\n", b""):
        assert unpacker.decompress(packer.compress(document)) == document
    unpacker.decompress(packer.finish())
    assert unpacker.eof
