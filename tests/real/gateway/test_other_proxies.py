"""nginx and Caddy with the files in `examples`, which authorize requests with Headgate."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from support import raw_connections
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.places import REPOSITORY
from support.raw_connections import connected, heard
from support.recorder_upstream import Recorder, recorder
from support.server_process import ServerProcess
from support.servers import ROOT, Answer, Server
from support.waiting import free_port, poll_until

EXAMPLES = REPOSITORY / "examples"


class Proxy(ServerProcess):
    """A process of nginx or Caddy, with the requests of a Headgate server."""

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "it ended"
        try:
            return self.request("GET", "/nothing").status > 0
        except OSError:
            return False


def need(program: str) -> None:
    if shutil.which(program) is None and not os.environ.get("CI"):
        pytest.skip(f"Debian's {program} is not installed")


@contextmanager
def running(
    folder: Path, kind: str, headgate: Server, store: Recorder, *, victoria: bool
) -> Iterator[Proxy]:
    """Starts nginx or Caddy with the file in `examples`, and the addresses of this test."""
    need(kind)
    proxy = Proxy(folder / kind)
    proxy.port = free_port()
    source = EXAMPLES / ("nginx/headgate.conf" if kind == "nginx" else "caddy/Caddyfile")
    text = source.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{proxy.port}")
    text = text.replace("HEADGATE", f"127.0.0.1:{headgate.port}", 10)
    text = text.replace("STORE", store.url.removeprefix("http://")).replace("/NAME", "/store")
    path = folder / source.name
    if kind == "nginx":
        own = "".join(
            f"{what}_temp_path {folder}/{what};\n"
            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = text.replace("http {", f"http {{ access_log off; {own}", 1)
        user = "user root;" if os.getuid() == 0 else ""  # the owner of the folder
        text = f"daemon off; {user} pid {folder}/pid; error_log {folder}/error;\n{text}"
        command = ["nginx", "-e", str(folder / "error"), "-c", str(path)]
    else:
        text = text.replace("# rewrite", "rewrite") if victoria else text
        command = ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]
    path.write_text(text)
    proxy.process = subprocess.Popen(
        command,
        env=os.environ | {"HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        poll_until(proxy.answers, f"{kind} did not start")
        yield proxy
    finally:
        proxy.process.terminate()
        proxy.process.wait(20)


Started = Callable[[str, str], tuple[Proxy, Recorder, Server]]


@pytest.fixture
def started(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Started]:
    with ExitStack() as stack:

        def start(kind: str, protocol: str) -> tuple[Proxy, Recorder, Server]:
            store = stack.enter_context(recorder())
            unread = {"overwrite_label": True, "max_labels": 0}
            own = unread if protocol == "victoriametrics" else {}
            headgate = configured(serve, tmp_path, upstream(protocol, name="store", **own))
            headgate.bootstrap(TWO)
            proxy = stack.enter_context(
                running(tmp_path, kind, headgate, store, victoria=protocol == "victoriametrics")
            )
            store.heard.clear()
            return proxy, store, headgate

        yield start


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_tenants_of_mimir(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "mimir")
    query = "/prometheus/api/v1/query?query=up%7Ba%3D%22b%22%7D"
    assert proxy.request("GET", query, basic=ANN).status == 200
    assert (store.last.tenant, store.last.all("X-Auth-User")) == ("a", ["ann"])
    assert store.last.all("Authorization") == []
    assert store.last.target == query
    label = "/prometheus/api/v1/label/a%20b/values"
    assert proxy.request("GET", label, basic=ANN).status == 200
    assert store.last.path == label
    push = proxy.request("POST", "/api/v1/push", b"x" * 100_000, {}, BOB)
    assert push.status == 200
    assert store.last.tenant == "b" and len(store.last.body) == 100_000
    heard = len(store.heard)
    refusals: list[tuple[Answer, int, str]] = [
        (proxy.request("GET", query), 401, "unable to parse authentication credentials"),
        (proxy.request("GET", query, basic=("ann", "wrong")), 401, "authorization failed"),
        (
            proxy.request("GET", query, None, {"X-Scope-OrgID": "b"}, ANN),
            403,
            "ann is not authorized: requires READ on b",
        ),
        (proxy.request("GET", "/debug/pprof", basic=ANN), 403, "not found"),
        (proxy.request("GET", "/prometheus//api/v1/query", basic=ANN), 403, "ambiguous path"),
        (proxy.request("GET", "/x/..%2fapi", basic=ANN), 403, "ambiguous path"),
    ]
    for answer, status, error in refusals:
        assert (answer.status, answer.error) == (status, error), answer.body
        assert answer.headers["Content-Type"].startswith("application/json")
    assert refusals[0][0].headers["WWW-Authenticate"] == 'Basic realm="InfluxDB"'
    assert len(store.heard) == heard


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_spoofed_header_is_no_good(started: Started, kind: str) -> None:
    proxy, store, headgate = started(kind, "mimir")
    query = "/prometheus/api/v1/query"
    for spoofed in (
        {"X-Forwarded-Uri": "/db/b/prometheus/api/v1/query", "X-Original-Method": "DELETE"},
        {"X-Original-URI": "/health", "X-Forwarded-Method": "POST"},
        {"X-Auth-User": "root", "X-Auth-Database": "b"},
        {"X-Auth-Query": "db=b", "X-Auth-Error-Body": "x"},
    ):
        assert proxy.request("GET", query, None, spoofed, ANN).status == 200, spoofed
        assert store.last.tenant == "a"
        assert store.last.all("X-Auth-User") == ["ann"]
        assert store.last.target in (query, query + "?")
    # Caddy forwards the client's parameters: Headgate takes the login, not `db`.
    assert proxy.request("GET", f"{query}?db=b&u=root&p=x", basic=ANN).status == 401
    assert proxy.request("GET", f"{query}?db=b", basic=ANN).status == 200
    assert store.last.tenant == "a"


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_databases_of_influxdb(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    store.reply = lambda heard: (204, {}, b"")
    assert proxy.request("POST", "/write?db=a&u=ann&p=Ann-pw-1", b"m v=1").status == 204
    assert store.last.pairs[0] == ("db", "a")
    # nginx forwards the parameters that Headgate returns; Caddy those of the client.
    assert len(store.last.pairs) == (1 if kind == "nginx" else 3)
    for path, login in [
        ("/write?db=b", ANN),
        ("/write?db=a&db=b", ANN),
        ("/write?db=b&db=a", ANN),
        ("/write?x=1;db=b&db=a", ANN),
        ("/write?db=a", BOB),
        ("/write", ANN),
        ("/api/v2/write?bucket=b/x", ANN),
    ]:
        assert proxy.request("POST", path, b"m v=1", basic=login).status == 403, path
    assert len(store.heard) == 1
    # The proxy sends /query to Headgate, which answers as InfluxDB does.
    assert proxy.query("SHOW DATABASES", ANN).rows() == [["a"]]


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_databases_of_victoriametrics(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "victoriametrics")
    answer = proxy.request("GET", "/api/v1/query?query=up&extra_label=db%3Db", basic=ANN)
    assert answer.status == 200
    # VictoriaMetrics uses the last label for writes, and all labels for queries.
    assert store.last.pairs[-1] == ("extra_label", "db=a")
    assert proxy.request("POST", "/write?db=a", b"m,db=b v=1", basic=ANN).status == 200
    assert store.last.pairs == [("db", "a"), ("extra_label", "db=a")]
    assert proxy.request("POST", "/write?db=b", b"m v=1", basic=ANN).status == 403


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_write_that_a_page_of_another_site_sent_is_refused(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    store.reply = lambda heard: (204, {}, b"")
    own = f"http://127.0.0.1:{proxy.port}"
    for headers, status in [
        ({"Origin": own}, 204),
        ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ]:
        answer = proxy.request("POST", "/write?db=a", b"m v=1", headers, ANN)
        assert answer.status == status, headers
        if status == 403:
            assert "a page of another web site" in answer.error
    assert len(store.heard) == 2


LARGEST = 25_000_000


def chunks(size: int) -> Iterator[bytes]:
    """Yields a chunked body of *size* bytes or slightly more."""
    for _ in range(size // (1 << 16) + 1):
        yield b"10000\r\n" + b"#" * (1 << 16) + b"\r\n"
    yield b"0\r\n\r\n"


def write_of(proxy: Proxy, framing: str) -> bytes:
    lines = [
        "POST /write?db=a HTTP/1.1",
        f"Host: 127.0.0.1:{proxy.port}",
        "Authorization: Basic " + b64encode(":".join(ANN).encode()).decode(),
        framing,
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
@pytest.mark.parametrize("size", [1_200_000, LARGEST])
def test_a_write_of_up_to_the_largest_size_passes(started: Started, kind: str, size: int) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    store.reply = lambda heard: (204, {}, b"")
    assert proxy.request("POST", "/write?db=a", b"#" * size, basic=ANN).status == 204
    assert len(store.last.body) == size
    with closing(connected(proxy)) as line:
        line.sendall(write_of(proxy, "Transfer-Encoding: chunked"))
        for part in chunks(1_200_000):
            line.sendall(part)
        assert raw_connections.status(heard(line)) == 204


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_the_store_receives_neither_a_login_nor_a_cookie(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    store.reply = lambda heard: (204, {}, b"")
    cookie = {"Cookie": "headgate_session=secret"}
    assert proxy.request("POST", "/write?db=a", b"m v=1", cookie, ANN).status == 204
    assert store.last.all("Cookie") == store.last.all("Authorization") == []


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_larger_write_is_refused_in_json(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    with closing(connected(proxy)) as line:
        line.sendall(write_of(proxy, f"Content-Length: {LARGEST + 1}") + b"m v=1\n")
        answer = heard(line)
    assert raw_connections.status(answer) == 413 and not store.heard
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {"error": "Request Entity Too Large"}


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_larger_write_of_undeclared_length_is_refused(started: Started, kind: str) -> None:
    proxy, store, _ = started(kind, "influxdb1")
    with closing(connected(proxy)) as line:
        line.sendall(write_of(proxy, "Transfer-Encoding: chunked"))
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in chunks(LARGEST):
                line.sendall(part)
        answer = heard(line)
    assert not answer or raw_connections.status(answer) == 413, answer  # it may be lost in a reset
    assert not store.heard


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_long_statement_in_the_url_passes(started: Started, kind: str) -> None:
    proxy, _, _ = started(kind, "mimir")
    text = "SHOW+GRANTS+FOR+root" + "+" * 70_000
    assert proxy.request("GET", f"/query?q={text}", basic=ROOT).status == 200
    path = "/prometheus/api/v1/query?query=up" + "+" * 60_000
    assert proxy.request("GET", path, basic=ANN).status == 200


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_an_answer_of_headgate_passes_as_it_is(started: Started, kind: str) -> None:
    proxy, _, headgate = started(kind, "mimir")
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        for target in ("q=SHOW+DATABASES", "q=SHOW+DATABASES%3BSHOW+USERS&chunked=true"):
            there = headgate.request("GET", f"/query?{target}", None, headers, ROOT)
            through = proxy.request("GET", f"/query?{target}", None, headers, ROOT)
            assert (through.status, through.body) == (there.status, there.body)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        large = proxy.request("POST", "/query", b"q=" + b"x" * 2_000_000, form, ROOT)
        assert (large.status, large.error) == (413, "Request Entity Too Large")
    except http.client.IncompleteRead:
        # Caddy stops reading the request's body once it has the head of the early response. If it
        # is still sending that body upstream, it drops the response's body.
        assert kind == "caddy"


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_websocket_of_loki_passes_both_ways(
    serve: Callable[..., Server], tmp_path: Path, kind: str
) -> None:
    headgate = configured(serve, tmp_path, upstream("loki", name="store")).bootstrap(TWO)
    port, asked = free_port(), list[ServerConnection]()

    async def tail(connection: ServerConnection) -> None:
        asked.append(connection)
        async for message in connection:
            await connection.send(message)

    async def run(proxy: Proxy) -> None:
        login = b64encode(":".join(ANN).encode()).decode()
        headers = {"Authorization": f"Basic {login}", "X-Scope-OrgID": "a"}
        url = f"ws://127.0.0.1:{proxy.port}/loki/api/v1/tail?query=up"
        async with (
            serve_websockets(tail, "127.0.0.1", port),
            connect(url, additional_headers=headers) as client,
        ):
            await client.send("hello")
            assert await client.recv() == "hello"

    store = Recorder(url=f"http://127.0.0.1:{port}")
    with running(tmp_path, kind, headgate, store, victoria=False) as proxy:
        asyncio.run(run(proxy))
    (request,) = [connection.request for connection in asked]
    assert request is not None and request.headers.get_all("X-Scope-OrgID") == ["a"]


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_chunk_passes_before_the_next_one_is_there(
    serve: Callable[..., Server], tmp_path: Path, kind: str
) -> None:
    headgate = configured(serve, tmp_path, upstream("mimir", name="store")).bootstrap(TWO)
    login = b64encode(":".join(ANN).encode()).decode()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(20)
        store = Recorder(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with running(tmp_path, kind, headgate, store, victoria=False) as proxy:
            head = f"GET /prometheus/api/v1/query?query=up HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}"
            with closing(connected(proxy)) as line:
                line.sendall(f"{head}\r\nAuthorization: Basic {login}\r\n\r\n".encode())
                with closing(listener.accept()[0]) as upstream_line:
                    upstream_line.settimeout(20)
                    raw_connections.read_until(upstream_line, b"\r\n\r\n")
                    upstream_line.sendall(
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
                    )
                    raw_connections.read_until(line, b"first")
                    upstream_line.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
                    raw_connections.read_until(line, b"second")
