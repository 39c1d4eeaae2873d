"""Connections to upstream stores: the pool, its limit, reuse, and the parsing of HTTP responses."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate_server.upstream.connection_pool import (
    ConnectionPool,
    HostPool,
    PoolLimits,
    UpstreamResponse,
)
from headgate_server.upstream.errors import (
    PoolExhausted,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from support.key_server import KeyServer, Said
from support.raw_upstream import raw_upstream, whole
from support.recorder_upstream import recorder

LIMITS = PoolLimits(connect_seconds=2.0, read_seconds=1.0, max_connections=2)


def run(work: Callable[[ConnectionPool], Awaitable[None]], limits: PoolLimits = LIMITS) -> None:
    async def whole() -> None:
        client = ConnectionPool(limits)
        try:
            await work(client)
            assert not client.busy
        finally:
            client.close()

    asyncio.run(whole())


async def parts(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_a_connection_is_used_again_and_again() -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            for number in range(5):
                reply = await client.send("POST", store.url, f"/{number}", [], b"x" * number)
                assert (reply.status, await reply.read(1000)) == (200, b'{"status":"success"}')
            (address,) = client._pools.values()
            assert len(address.connections) == len(address.idle_connections) == 1

        run(work)
        assert [(heard.target, len(heard.body)) for heard in store.heard] == [
            (f"/{number}", number) for number in range(5)
        ]


def test_a_response_of_unknown_length_is_incomplete_after_the_pool_was_closed() -> None:
    def answer(line: socket.socket, request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\nbegin")
        line.recv(1)

    with raw_upstream(answer) as store:

        async def work(client: ConnectionPool) -> None:
            reply = await client.send("GET", store.url, "/", [])
            assert await anext(aiter(reply.iter_chunks())) == b"begin"
            client.close()
            with pytest.raises(UpstreamProtocolError):
                await reply.read(1000)
            reply.close()

        run(work)


@pytest.mark.parametrize("length", [None, "6"])
def test_a_body_goes_out_as_it_comes(length: str | None) -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            headers = [("Content-Length", length)] if length else []
            reply = await client.send("POST", store.url, "/x", headers, parts(b"abc", b"def"))
            await reply.read(1000)

        run(work)
        assert store.last.body == b"abcdef"
        assert store.last.all("Transfer-Encoding") == ([] if length else ["chunked"])


def test_a_closed_pool_opens_no_connection() -> None:
    with raw_upstream(lambda line, request: None) as store:

        async def work() -> None:
            pool = HostPool(store.url, LIMITS)
            connecting = asyncio.ensure_future(pool.acquire())
            await asyncio.sleep(0)
            pool.close()
            for attempt in (connecting, asyncio.ensure_future(pool.acquire())):
                with pytest.raises(UpstreamUnreachable) as error:
                    await attempt
                assert error.value.reason == "the pool is closed"
            assert not pool.connections
            whole = ConnectionPool(LIMITS)
            whole.close()  # before its first request
            with pytest.raises(UpstreamUnreachable):
                await whole.send("GET", store.url, "/", [])
            assert not store.requests

        asyncio.run(work())


def test_of_more_than_the_limit_one_waits_and_then_has_its_turn() -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            first = await client.send("GET", store.url, "/1", [])
            second = await client.send("GET", store.url, "/2", [])
            third = asyncio.ensure_future(client.send("GET", store.url, "/3", []))
            await asyncio.sleep(0.05)
            assert not third.done()
            await first.read(100)
            assert (await third).status == 200
            (await third).close()
            second.close()

        run(work)


def test_a_request_that_waits_too_long_for_a_connection_is_refused() -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            held = [await client.send("GET", store.url, "/", []) for _ in range(2)]
            with pytest.raises(PoolExhausted):
                await client.send("GET", store.url, "/", [])
            for reply in held:
                reply.close()

        run(work, PoolLimits(connect_seconds=0.1, read_seconds=1, max_connections=2))


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS: dict[str, tuple[bytes, bytes | None]] = {
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
        b"ok",
    ),
    "until it closes": (b"HTTP/1.0 200 OK\r\n\r\nall there is", b"all there is"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", b"ok"),
    "no content": (b"HTTP/1.1 204 No\r\n\r\n", b""),
    "more than was asked for": (
        OK
        + b"Content-Length: 2\r\n\r\nok"
        + b"HTTP/1.1 500 Evil\r\nX-Evil: yes\r\nContent-Length: 4\r\n\r\nevil",
        b"ok",
    ),
    "another protocol": (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx", None),
    "an end too soon": (OK + b"Content-Length: 9\r\n\r\nok", None),
    "lengths": (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", None),
    "a line end in a name": (OK + b"A\n: b\r\nContent-Length: 0\r\n\r\n", None),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_an_answer_and_what_is_none(answer: str) -> None:
    raw, body = ANSWERS[answer]
    with raw_upstream(lambda line, request: line.sendall(raw)) as store:

        async def work(client: ConnectionPool) -> None:
            try:
                reply = await client.send("GET", store.url, "/", [])
                found: bytes | None = await reply.read(1000)
            except UpstreamProtocolError:
                found = None
            assert found == body
            # No connection is reused after an invalid response, because unread bytes could remain.
            for address in client._pools.values():
                assert not [
                    wire for wire in address.idle_connections if wire.reusable and body is None
                ]

        run(work)


_KEPT = {  # responses after which a connection is used again, with their status and body
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst": (200, b"first"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": (200, b""),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b""),
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n": (304, b""),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": (200, b"abc"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n"
    b"1\r\na\r\n0\r\nX-A: b\r\n\r\n": (200, b"a"),
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n!": (
        500,
        b"!",
    ),
    **{
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n%b\r\n\r\n"
        % trailer: (
            200,
            b"a",
        )
        for trailer in (b"Connection: close", b"Transfer-Encoding: gzip", b"Location: /x")
    },
}


def test_any_response_may_follow_any_other_on_a_connection() -> None:
    pairs = [answer for first in _KEPT for second in _KEPT for answer in (first, second)]

    def answer(line: socket.socket, request: bytes) -> None:
        for one in pairs:
            line.sendall(one)
            if not whole(line):
                return

    with raw_upstream(answer) as store:

        async def work(client: ConnectionPool) -> None:
            for one in pairs:
                reply = await client.send("GET", store.url, "/", [])
                assert (reply.status, await reply.read(1000)) == _KEPT[one]
                assert not reply.header("Location")
                assert b"location" not in dict(reply.headers)  # a trailer is no header
            (address,) = client._pools.values()
            assert len(address.connections) == len(address.idle_connections) == 1

        run(work)
        assert len(store.requests) == 1  # of each connection, the first is counted


def test_what_was_sent_ahead_is_no_answer_to_the_next() -> None:
    raw, _ = ANSWERS["more than was asked for"]

    def stay(line: socket.socket, request: bytes) -> None:
        line.sendall(raw)
        line.settimeout(10)
        line.recv(1)

    with raw_upstream(stay) as store:

        async def work(client: ConnectionPool) -> None:
            for _ in range(3):
                reply = await client.send("GET", store.url, "/", [])
                assert (reply.status, reply.header("X-Evil")) == (200, "")
                assert await reply.read(1000) == b"ok"

        run(work)
        assert len(store.requests) == 3


@pytest.mark.slow
@settings(max_examples=30)
@given(st.binary(max_size=300), st.booleans())
def test_noise_is_never_a_fault_of_ours(noise: bytes, headed: bool) -> None:
    raw = (b"HTTP/1.1 200 OK\r\n" if headed else b"") + noise

    with raw_upstream(lambda line, request: line.sendall(raw)) as store:

        async def work(client: ConnectionPool) -> None:
            try:
                reply = await client.send("GET", store.url, "/", [])
                await reply.read(1 << 20)
            except UpstreamError:
                pass

        run(work)


def test_a_head_does_not_wait_for_a_body() -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            reply = await client.send("HEAD", store.url, "/", [])
            assert (reply.header("content-length"), await reply.read(10)) == ("20", b"")

        run(work)


def test_silence_ends_but_not_while_the_client_is_slow() -> None:
    def silent(line: socket.socket, request: bytes) -> None:
        line.settimeout(10)
        line.recv(1)

    with raw_upstream(silent) as quiet, recorder() as store:

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"x" * 500_000  # more than a socket buffers
                await asyncio.sleep(0.2)

        async def work(client: ConnectionPool) -> None:
            with pytest.raises(UpstreamTimeout):
                await client.send("GET", quiet.url, "/", [])
            reply = await client.send("POST", store.url, "/", [], slow())
            await reply.read(100)
            assert len(store.last.body) == 2_000_000

        run(work, PoolLimits(connect_seconds=2, read_seconds=0.4, max_connections=2))


def test_an_upstream_that_is_not_there() -> None:
    async def work(client: ConnectionPool) -> None:
        with pytest.raises(UpstreamUnreachable):
            await client.send("GET", "http://127.0.0.1:1", "/", [])
        with pytest.raises(UpstreamUnreachable):
            await client.send("GET", "http://nobody.invalid", "/", [])

    run(work)


@pytest.mark.parametrize("value", ["a\r\nX-Scope-OrgID: b", "a\nb", "a\rb", "a\0b"])
def test_a_header_is_one_header(value: str) -> None:
    with recorder() as store:

        async def work(client: ConnectionPool) -> None:
            with pytest.raises(UpstreamProtocolError):
                await client.send("GET", store.url, "/", [("X", value)])

        run(work)
        assert store.heard == []


@pytest.mark.slow
def test_tls_is_verified_by_the_configured_authority(tmp_path: Path) -> None:
    ours, others = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(context)

    async def whole(url: str) -> None:
        for authority, good in ((ours, True), (others, False)):
            trusting = ssl.create_default_context()
            authority.configure_trust(trusting)
            client = ConnectionPool(PoolLimits(2, 2, 2, trusting))
            found: UpstreamResponse | None = None
            try:
                found = await client.send("GET", url, "/", [])
                assert await found.read(10) == b"ok"
            except UpstreamUnreachable:
                pass
            assert (found is not None) == good
            client.close()

    with KeyServer([Said(200, b"ok")], context) as server:
        asyncio.run(whole(server.url.removesuffix("/keys")))
