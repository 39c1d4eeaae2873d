"""Connections that begin with a PROXY header: the client's address, TLS, limits, invalid headers.

The trusted proxy has the address 127.0.0.2. Requests of other helpers come from 127.0.0.1.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from support.audit_records import audit_records
from support.certificates import client_context, write_certificate
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.local_server import LocalServer
from support.raw_connections import connected, heard, read_until, status
from support.servers import CREATE_ROOT, Server
from support.waiting import poll_until

PROXY, CLIENT = "127.0.0.2", "203.0.113.7"
SETTINGS = {
    "HEADGATE_HTTP_TRUSTED_PROXIES": "127.0.0.2/32, 10.0.0.0/8",
    "HEADGATE_HTTP_PROXY_PROTOCOL": "true",
}
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([203, 0, 113, 7, 192, 0, 2, 1, 0, 1, 0, 2])
UNKNOWN, LOCAL = b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0"
BASIC = b"Authorization: Basic " + b64encode(b"root:Toor-1") + b"\r\n"
WRONG = b"Authorization: Basic " + b64encode(b"root:Wrong-1") + b"\r\n"
QUERY = b"GET /query?q=SHOW+USERS HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(**SETTINGS).bootstrap()


def proxied(server: Server, *sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Sends the parts *sent* from the proxy; returns the response. *context* is for TLS.

    With *context*, the first part is sent before the handshake.
    """
    line = socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))
    with closing(line):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            line.sendall(sent[0])
            with context.wrap_socket(line, server_hostname="127.0.0.1") as safe:
                for part in sent[1:]:
                    safe.sendall(part)
                return heard(safe)
        try:
            for part in sent:
                line.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            return b""
        return heard(line)


def clients(server: Server) -> list[str]:
    """Returns the client of each request in the log of *server*, without helpers' requests."""
    return [
        address for address in re.findall(r" client=(\S+)", server.log()) if address != "127.0.0.1"
    ]


def logged(server: Server, *expected: str) -> None:
    """Waits until the log of *server* has requests of the clients *expected*, and no others."""
    poll_until(lambda: len(clients(server)) >= len(expected), f"{expected}: {server.log()}")
    assert clients(server) == list(expected)


# A request for each way through the server: the batch, and the ASGI application.
BATCHED = [QUERY + BASIC + b"\r\n"]
IN_PARTS = [
    b"POST /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + FORM + BASIC + b"\r\n",
    b"c\r\nq=SHOW+USERS\r\n",
    b"0\r\n\r\n",
]
WAITING = [b"POST /query?q=CREATE+DATABASE+d HTTP/1.1\r\nHost: a\r\n" + FORM + BASIC + b"\r\n"]


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("request_parts", [BATCHED, IN_PARTS, WAITING])
def test_the_access_log_names_the_client(
    server: Server, header: bytes, request_parts: list[bytes]
) -> None:
    assert status(proxied(server, header, *request_parts)) == 200
    assert status(proxied(server, header + b"".join(request_parts))) == 200
    logged(server, CLIENT, CLIENT)


def test_the_header_may_arrive_byte_by_byte(server: Server) -> None:
    for header in (V1, V2):
        parts = [header[index : index + 1] for index in range(len(header))]
        assert status(proxied(server, *parts, *BATCHED)) == 200
    logged(server, CLIENT, CLIENT)


@pytest.mark.slow
def test_the_audit_names_the_client_and_the_proxy(server: Server) -> None:
    assert status(proxied(server, V2, *WAITING)) == 200
    assert status(proxied(server, V2, QUERY + WRONG + b"\r\n")) == 401
    expected = f"{CLIENT} via {PROXY}"

    def both() -> bool:
        found = [one.statement for one in audit_records(server) if one.address == expected]
        return any("CREATE" in one for one in found) and any("login" in one for one in found)

    poll_until(both, str(audit_records(server)))


def test_each_client_of_the_proxy_has_a_throttle_of_its_own(server: Server) -> None:
    other = V1.replace(b"203.0.113.7", b"203.0.113.8")
    guesses = [status(proxied(server, V1, QUERY + WRONG + b"\r\n")) for _ in range(8)]
    assert guesses == [401] * 8
    answer = proxied(server, V1, *BATCHED)  # the right password, too early
    assert status(answer) == 401 and b"retry-after: " in answer
    assert status(proxied(server, other, *BATCHED)) == 200


# Header fields count if the address in the PROXY header is itself that of a trusted proxy.
FORWARDED = b"X-Forwarded-For: 198.51.100.9\r\nX-Real-IP: 198.51.100.9\r\n"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (V1, CLIENT),
        (V1.replace(b"203.0.113.7", b"10.0.0.9"), "198.51.100.9"),
        (UNKNOWN, PROXY),
        (LOCAL, PROXY),
    ],
)
def test_the_source_address_takes_the_place_of_the_peer(
    server: Server, header: bytes, client: str
) -> None:
    assert status(proxied(server, header, QUERY + BASIC + FORWARDED + b"\r\n")) == 200
    logged(server, client)


# Invalid starts of connections from the proxy, and the reasons in the log.
INVALID = [
    ([BATCHED[0]], "missing"),
    ([b"\x16\x03\x01\x02\0\x01"], "missing"),
    ([b"PROXY TCP4 nonsense\r\n", *BATCHED], "malformed"),
    ([b"PROXY " + b"x" * 200], "too long"),
    ([SIGNATURE + b"\x21\x11\xff\xff", *BATCHED], "too long"),
    ([SIGNATURE + b"\x21\x11\0\x04abcd", *BATCHED], "too short for its addresses"),
]


@pytest.mark.parametrize(("sent", "reason"), INVALID)
def test_an_invalid_header_closes_the_connection_with_a_line_in_the_log(
    server: Server, sent: list[bytes], reason: str
) -> None:
    assert proxied(server, *sent) == b""
    poll_until(lambda: bool(clients(server)), "no line")
    assert f"client={PROXY} method=other route=other status=400" in server.log()
    assert server.log().count("PROXY header: ") == 1
    assert f'error="PROXY header: {reason}"' in server.log()


def test_a_truncated_header_is_invalid_and_an_empty_connection_is_none(server: Server) -> None:
    for sent in (b"", V2[:20]):
        line = socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        assert heard(line) == b""
        line.close()
    poll_until(lambda: bool(clients(server)), "no line")
    assert re.findall('PROXY header: .*(?=")', server.log()) == ["PROXY header: truncated"]


@pytest.mark.parametrize("sent", [b"", V1[:20], V2[:20]])
def test_a_header_that_is_too_slow_closes_the_connection(
    serve: Callable[..., Server], sent: bytes
) -> None:
    server = serve(**SETTINGS, HEADGATE_HTTP_READ_HEADER_TIMEOUT="1s")
    assert proxied(server, sent) == b""
    poll_until(lambda: bool(clients(server)), "no line")
    assert "status=408" in server.log() and 'error="PROXY header: too slow"' in server.log()


def test_another_peer_is_served_without_a_header_and_its_header_is_invalid(server: Server) -> None:
    assert server.query("SHOW USERS").status == 200
    for header in (V1, V2):
        with closing(connected(server)) as line:
            line.sendall(header + BATCHED[0])
            assert status(heard(line)) == 400


def test_without_the_option_a_header_is_an_invalid_request(serve: Callable[..., Server]) -> None:
    trusted = {"HEADGATE_HTTP_TRUSTED_PROXIES": SETTINGS["HEADGATE_HTTP_TRUSTED_PROXIES"]}
    server = serve(**trusted).bootstrap()
    for header in (V1, V2):
        assert status(proxied(server, header, *BATCHED)) == 400


def test_the_option_needs_trusted_proxies(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "s.db", (), {"HEADGATE_HTTP_PROXY_PROTOCOL": "true"})
    assert server.attempt() == (
        "proxy-protocol needs trusted-proxies, the networks of proxies that send PROXY headers"
    )


@pytest.mark.parametrize("header", [V1.replace(b"203.0.113.7", b"127.0.0.1"), UNKNOWN, LOCAL])
def test_a_relayed_client_is_no_program_on_this_machine(
    serve: Callable[..., Server], header: bytes
) -> None:
    server = serve(**SETTINGS)
    path = CREATE_ROOT.replace(" ", "+").replace("'", "%27").encode()
    create = b"POST /query?q=" + path + b" HTTP/1.1\r\nHost: localhost\r\n" + FORM + b"\r\n"
    answer = proxied(server, header, create)
    assert status(answer) == 403 and b"set-up token" in answer


@pytest.fixture
def secure(
    serve: Callable[..., LocalServer], authority: trustme.CA, tmp_path: Path
) -> Callable[[], LocalServer]:
    """Starts a server with TLS and with PROXY headers."""
    path = write_certificate(authority, tmp_path / "server.pem")
    tls = {"HEADGATE_HTTP_HTTPS_ENABLED": "true", "HEADGATE_HTTP_HTTPS_CERTIFICATE": path}
    return lambda: serve(**SETTINGS, **tls)


@pytest.mark.slow
@pytest.mark.parametrize("header", [V1, V2])
def test_tls_starts_after_the_header(
    secure: Callable[[], LocalServer], authority: trustme.CA, header: bytes
) -> None:
    server, context = secure(), client_context(authority)
    answer = proxied(server, header, QUERY + b"\r\n", context=context)
    assert status(answer) == 403  # there is no administrator yet
    logged(server, CLIENT)
    # A peer outside the networks begins with TLS.
    with (
        connected(server) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as safe,
    ):
        safe.sendall(QUERY + b"\r\n")
        assert status(heard(safe)) == 403


def test_a_header_and_the_start_of_tls_in_one_segment_are_told_apart(
    secure: Callable[[], LocalServer], authority: trustme.CA
) -> None:
    server = secure()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(authority).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    first = V2
    with closing(socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))) as line:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                line.sendall(first + outgoing.read())
                first = b""
                incoming.write(line.recv(65536))
            else:
                break
        tls.write(QUERY + b"\r\n")
        line.sendall(outgoing.read())
        poll_until(lambda: bool(clients(server)), "no request")
    logged(server, CLIENT)


def test_a_renewed_certificate_serves_new_connections(
    secure: Callable[[], LocalServer], authority: trustme.CA, tmp_path: Path
) -> None:
    server, context = secure(), client_context(authority)

    def serial() -> object:
        with closing(socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))) as line:
            line.sendall(V1)
            with context.wrap_socket(line, server_hostname="127.0.0.1") as safe:
                certificate = safe.getpeercert()
                assert certificate is not None
                return certificate["serialNumber"]

    first = serial()
    write_certificate(authority, tmp_path / "server.pem")
    server.reload()
    assert serial() != first


def test_a_unix_socket_needs_the_header_too(serve: Callable[..., Server], tmp_path: Path) -> None:
    path = str(tmp_path / "hg.sock")
    unix = {"HEADGATE_HTTP_UNIX_SOCKET_ENABLED": "true", "HEADGATE_HTTP_BIND_SOCKET": path}
    server = serve(**SETTINGS, **unix).bootstrap()
    for header, answered in ((V2, True), (b"", False)):
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(20)
            line.connect(path)
            line.sendall(header + BATCHED[0])
            assert bool(heard(line)) == answered
    logged(server, CLIENT, "unix")
    assert "client=unix method=other route=other status=400" in server.log()


def test_a_websocket_has_the_clients_address(serve: Callable[..., Server], tmp_path: Path) -> None:
    async def tail(connection: ServerConnection) -> None:
        await connection.send("{}")

    async def run() -> None:
        async with serve_websockets(tail, "127.0.0.1", 0) as store:
            port = store.sockets[0].getsockname()[1]
            table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
            http = 'trusted-proxies = ["127.0.0.2/32"]\nproxy-protocol = true\n'
            file = tmp_path / "loki.toml"
            file.write_text(f"[http]\n{http}{table}")
            server = serve("--config", str(file)).bootstrap(TWO)
            servers.append(server)
            line = socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))
            line.sendall(V1)
            login = b64encode(":".join(ANN).encode()).decode()
            async with connect(
                f"ws://127.0.0.1:{server.port}/loki/api/v1/tail?query=%7Bapp%3D%22x%22%7D",
                sock=line,
                additional_headers={"Authorization": f"Basic {login}", "X-Scope-OrgID": "a"},
            ) as client:
                assert await client.recv() == "{}"

    servers: list[Server] = []
    asyncio.run(run())
    logged(servers[0], CLIENT)
    assert "status=101" in servers[0].log()


@pytest.mark.parametrize(
    ("header", "may_ask"),
    [
        (V1, False),
        (UNKNOWN, False),
        (V1.replace(b"203.0.113.7", b"10.0.0.9"), True),
    ],
)
def test_the_relayed_client_is_the_proxy_that_asks_for_authorization(
    serve: Callable[..., Server], tmp_path: Path, header: bytes, may_ask: bool
) -> None:
    http = '[http]\ntrusted-proxies = ["127.0.0.2/32"]\nproxy-protocol = true\n'
    table = upstream("mimir", name="m")
    trusted = 'trusted-proxies = ["127.0.0.0/8", "10.0.0.0/8"]'
    server = configured(serve, tmp_path, f"{table}\n{http}", gateway=trusted).bootstrap(TWO)
    asked = (
        b"GET /auth/nginx/m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"X-Original-URI: /db/a/prometheus/api/v1/query?query=up\r\nX-Original-Method: GET\r\n"
        b"X-Real-IP: 198.51.100.9\r\n" + BASIC + b"\r\n"
    )
    answer = proxied(server, header, asked)
    assert (b"not a trusted proxy" in answer) != may_ask


def test_pending_headers_make_room_at_the_connection_limit(serve: Callable[..., Server]) -> None:
    server = serve(**SETTINGS, HEADGATE_HTTP_MAX_CONNECTION_LIMIT="3").bootstrap()
    pending = [
        socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0)) for _ in range(6)
    ]
    for line in pending[:3]:
        assert heard(line) == b""
    assert status(proxied(server, V1, *BATCHED)) == 200
    for line in pending:
        line.close()


def test_the_end_of_the_server_closes_pending_connections(server: Server) -> None:
    line = socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))
    line.sendall(V1[:10])
    with closing(socket.create_connection(("127.0.0.1", server.port), 20, (PROXY, 0))) as open_one:
        open_one.sendall(V1 + b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(open_one, b"204 No Content")
        assert server.stop() == 0
        assert heard(line) == heard(open_one) == b""
    line.close()
