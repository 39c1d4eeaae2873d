"""Loki's tail through the gateway: a WebSocket, from the login to the last message."""

import asyncio
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support import made_tokens as made
from support.account_requests import make_key, send
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.raw_connections import connected, heard, read_until, status
from support.raw_upstream import raw_upstream
from support.servers import Server
from support.tails import PATH, cut, querier, tailing
from support.waiting import free_port, poll_until


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, port: int) -> Server:
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    return configured(serve, tmp_path, table).bootstrap(TWO)


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """The privilege for an open tail is checked twice a second."""
    monkeypatch.setattr("headgate_server.api.tail.RECHECK_SECONDS", 0.5)


def test_messages_go_both_ways_as_the_tenant(server: Server, port: int) -> None:
    heard: list[ServerConnection] = []

    async def run() -> None:
        async with querier(port, heard):
            async with tailing(server, tenant="a") as tail:
                assert await tail.recv() == '{"n": 1}'
                for message in ("hello", b"\x00\xff" * 1000, "x" * 200_000):
                    await tail.send(message)
                    assert await tail.recv() == message
                await tail.send("stop")
                with pytest.raises(ConnectionClosed) as closed:
                    await tail.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011

    asyncio.run(run())
    (connection,) = heard
    assert connection.request is not None
    headers = connection.request.headers
    assert headers.get_all("X-Scope-OrgID") == ["a"]
    assert headers["X-Auth-User"] == "ann" and "Authorization" not in headers
    assert connection.request.path == PATH
    assert 'route="gateway loki /loki/api/v1/tail" status=101' in server.log()


@pytest.mark.parametrize("gateway", ["", "otlp-endpoint = 'http://127.0.0.1:1'"])
def test_the_store_receives_the_trace_context_of_a_tail(
    serve: Callable[..., Server], tmp_path: Path, port: int, gateway: str
) -> None:
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    server = configured(serve, tmp_path, table, gateway=gateway).bootstrap(TWO)
    heard: list[ServerConnection] = []
    basic = b64encode(":".join(ANN).encode()).decode()
    context = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1",
    }

    async def run() -> None:
        headers = {"Authorization": f"Basic {basic}", "X-Scope-OrgID": "a", **context}
        url = f"ws://127.0.0.1:{server.port}{PATH}"
        async with querier(port, heard), connect(url, additional_headers=headers) as tail:
            assert await tail.recv() == '{"n": 1}'

    asyncio.run(run())
    assert heard[0].request is not None
    received = heard[0].request.headers
    assert {name: received.get_all(name) for name in context} == {
        name: [value] for name, value in context.items()
    }


def test_a_websocket_stays_open_at_the_connection_limit(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    file = tmp_path / "limit.toml"
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    file.write_text(f"[http]\nmax-connection-limit = 2\n{table}")
    server = serve("--config", str(file)).bootstrap(TWO)
    heard: list[ServerConnection] = []

    async def run() -> None:
        async with querier(port, heard), tailing(server, tenant="a") as tail:
            assert await tail.recv() == '{"n": 1}'
            idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
            for reader, _ in idle[:3]:
                assert await reader.read() == b""
            await tail.send("hello")
            assert await tail.recv() == "hello"
            for _, writer in idle:
                writer.close()

    asyncio.run(run())


def test_a_page_of_another_site_opens_no_websocket(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    heard: list[ServerConnection] = []
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    listed = "https://grafana.example:3000"
    server = configured(
        lambda *flags: serve(*flags, HEADGATE_HTTP_ALLOWED_ORIGINS=listed), tmp_path, table
    ).bootstrap(TWO)
    basic = b64encode(":".join(ANN).encode()).decode()

    def tail(origin: str, **fetch: str) -> connect:
        headers = {"Authorization": f"Basic {basic}", "Origin": origin}
        headers |= {name.replace("_", "-"): value for name, value in fetch.items()}
        url = f"ws://127.0.0.1:{server.port}{PATH}"
        return connect(url, additional_headers=headers)

    async def run() -> None:
        async with querier(port, heard):
            for origin, fetch in [
                ("http://attacker.example", {}),
                ("null", {}),
                (f"http://127.0.0.1:{server.port}", {"Sec_Fetch_Site": "cross-site"}),
            ]:
                with pytest.raises(InvalidStatus) as refused:
                    async with tail(origin, **fetch):
                        pass
                assert refused.value.response.status_code == 403, origin
            assert heard == []
            for origin in (f"http://127.0.0.1:{server.port}", listed):
                async with tail(origin) as opened:
                    assert await opened.recv() == '{"n": 1}'

    asyncio.run(run())


def test_a_tail_without_the_right_is_refused_before_it_begins(server: Server, port: int) -> None:
    heard: list[ServerConnection] = []

    async def status(path: str = PATH, login: tuple[str, str] = ANN, tenant: str = "") -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with tailing(server, path, login, tenant):
                pass
        return refused.value.response.status_code

    async def run() -> None:
        async with querier(port, heard):
            assert await status(login=("ann", "wrong")) == 401
            assert await status(tenant="b") == 403
            assert await status("/db/b" + PATH) == 403
            assert await status("/loki/api/v1/nope") == 404
            assert await status("/loki/api/v1/query") == 404  # not a WebSocket endpoint
            assert await status("/loki//api/v1/tail") == 400
        assert heard == []
        assert await status() == 502  # the store is not running

    asyncio.run(run())


@pytest.mark.slow
def test_a_tail_is_cut_off_when_its_right_is_revoked(server: Server, port: int) -> None:
    async def run() -> None:
        async with querier(port, []), tailing(server) as tail, tailing(server, login=BOB) as other:
            assert await tail.recv() == await other.recv() == '{"n": 1}'
            server.query("REVOKE ALL ON a FROM ann")
            assert await cut(tail) == 1008
            await other.send("still here")
            assert await other.recv() == "still here"

    asyncio.run(run())


@pytest.mark.slow
def test_a_tail_by_a_key_is_cut_off_when_the_key_is_revoked(server: Server, port: int) -> None:
    made = make_key(server, {"name": "logs", "user": "ann", "grants": {"a": "READ"}})
    login = ("api_key", made["key"])

    async def run() -> None:
        async with querier(port, []), tailing(server, login=login) as tail, tailing(server) as ann:
            assert await tail.recv() == await ann.recv() == '{"n": 1}'
            assert send(server, "DELETE", f"/api/keys/{made['id']}").status == 204
            assert await cut(tail) == 1008
            await ann.send("still here")
            assert await ann.recv() == "still here"
            with pytest.raises(InvalidStatus) as refused:
                async with tailing(server, login=login):
                    pass
            assert refused.value.response.status_code == 401

    asyncio.run(run())


def test_the_end_of_the_server_is_the_end_of_the_tail(server: Server, port: int) -> None:
    async def run() -> None:
        async with querier(port, []), tailing(server) as tail:
            await tail.recv()
            server.end_later()
            assert await cut(tail) == 1012

    asyncio.run(run())
    assert server.stop() == 0


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_stores_end(server: Server, port: int) -> None:
    heard: list[ServerConnection] = []

    async def run() -> None:
        async with querier(port, heard):
            async with tailing(server) as tail:
                await tail.recv()
            async with asyncio.timeout(20):
                await heard[0].wait_closed()

    asyncio.run(run())
    poll_until(lambda: b'answers_open{upstream="loki"} 0.0' in page(server), "it is still open")


def page(server: Server) -> bytes:
    return server.request("GET", "/metrics").body


def test_elsewhere_an_offer_of_a_websocket_is_not_taken_up(server: Server) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "13",
    }
    plain = server.request("GET", "/ping", None, headers)
    assert plain.status in (204, 404)
    assert server.request("GET", "/loki/api/v1/tail", None, headers, ANN).status in (400, 404, 502)


def offer(*fields: str, path: str = PATH, rest: bytes = b"") -> bytes:
    """Returns ann's offer of a WebSocket, with further header *fields*, and then *rest*."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: a",
        f"Authorization: Basic {b64encode(':'.join(ANN).encode()).decode()}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + rest


@pytest.mark.parametrize(
    "sent",
    [
        offer("Content-Length: 4", rest=b"abcd"),
        offer("Transfer-Encoding: chunked", rest=b"0\r\n\r\n"),
        offer(f"X: {'x' * 9_000}"),
        offer(*(f"X-{number}: x" for number in range(150))),
        offer(path=f"{PATH}&x={'x' * 9_000}"),
    ],
)
def test_an_offer_that_no_websocket_can_be_opened_with_is_a_plain_request(
    server: Server, port: int, sent: bytes
) -> None:
    with connected(server) as line:
        line.sendall(sent)
        assert status(read_until(line, b"\r\n\r\n")) in (400, 404, 502)
    assert "internal" not in server.log()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "early", [b"\x81\x82\0\0\0\0hi", b"\x88\x80\0\0\0\0", b"\xff\xff", b"GET / "]
)
def test_a_client_that_does_not_wait_for_the_handshake_is_refused(
    serve: Callable[..., Server], tmp_path: Path, early: bytes, together: bool
) -> None:
    def silent(line: socket.socket, request: bytes) -> None:
        asked.set()
        line.recv(1)

    asked = threading.Event()
    with raw_upstream(silent) as store:
        server = configured(serve, tmp_path, upstream("loki", urls=[store.url])).bootstrap(TWO)
        with connected(server) as line:
            if together:
                line.sendall(offer(rest=early))
            else:
                line.sendall(offer())
                assert asked.wait(20)
                line.sendall(early)
            assert status(heard(line)) == 400
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_neither_guesses_nor_a_reload_keep_a_tail_open(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    secret = "a secret of more than thirty-two bytes, of tails"
    jwt = {"secret": secret}
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"}, jwt=jwt)
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    text = made.token(
        secret.encode(), {"tenant_id": "a", "version": 1, "exp": int(time.time()) + 600}, "HS256"
    )
    headers = {"Authorization": f"Bearer {text}"}
    url = f"ws://127.0.0.1:{server.port}{PATH}"

    async def run() -> None:
        async with (
            querier(port, []),
            tailing(server) as tail,
            connect(url, additional_headers=headers) as token_tail,
        ):
            for number in range(7):  # failed logins from the same address
                server.request("GET", PATH, basic=("ann", f"Wrong-{number}"))
            server.query("SET PASSWORD FOR ann = 'Ann-pw-2'")
            (tmp_path / "headgate.toml").write_text(f"[gateway]\n{table}versions = {{a = 5}}\n")
            server.reload()
            assert [await cut(tail), await cut(token_tail)] == [1008, 1008]

    asyncio.run(run())


def test_a_store_that_does_not_answer_delays_no_other(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    def silent(line: socket.socket, request: bytes) -> None:
        line.settimeout(20)
        line.recv(1)

    with raw_upstream(silent) as store:
        options = {"read-timeout": "1s", "connect-timeout": "1s"}
        table = upstream("loki", urls=[store.url], **options)
        server = configured(serve, tmp_path, table, gateway="max-concurrent-per-user = 1")
        server.bootstrap(TWO)

        async def run() -> None:
            with pytest.raises(InvalidStatus) as refused:
                async with tailing(server):
                    pass
            assert refused.value.response.status_code == 504
            # A client that disconnects early releases its slot, too.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    async with tailing(server):
                        pass

        asyncio.run(run())
        free = lambda: server.request("GET", "/loki/api/v1/labels", basic=ANN).status != 429  # noqa: E731
        poll_until(free, "the slot is gone")


def test_no_redirect_leads_elsewhere(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    heard: list[ServerConnection] = []
    moved = f"HTTP/1.1 302 F\r\nLocation: ws://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
    with raw_upstream(lambda line, request: line.sendall(moved.encode())) as store:
        table = upstream("loki", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)

        async def run() -> None:
            async with querier(port, heard):
                with pytest.raises(InvalidStatus) as refused:
                    async with tailing(server):
                        pass
                assert refused.value.response.status_code == 502

        asyncio.run(run())
        assert heard == []
