"""Limits of connections: sizes, timeouts, and the responses beyond them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from support.local_server import LocalServer
from support.raw_connections import connected, conversation, heard, read_until, status
from support.servers import ROOT, Server
from support.waiting import poll_until

PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all timeouts of connections set to one second."""
    times = {
        f"HEADGATE_HTTP_{name}_TIMEOUT": "1s" for name in ("READ_HEADER", "READ", "WRITE", "IDLE")
    }
    server = LocalServer(tmp_path_factory.mktemp("quick") / "s.db", (), times).start().bootstrap()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", None),
        (b"GET /ping HTT", 408),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: ", 408),
        (b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nq=", 401),
        (
            b"POST /write?u=root&p=Toor-1&db=x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx",
            404,
        ),
        (
            b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nq=",
            408,
        ),
        (PING, 204),
    ],
)
def test_a_client_that_sends_too_slowly_is_refused_and_disconnected(
    quick: Server, sent: bytes, expected: int | None
) -> None:
    answer = conversation(quick, sent)
    assert (status(answer) if answer else None) == expected
    assert answer.count(b"HTTP/1.1 ") == (1 if expected else 0)


def test_a_request_in_time_is_answered_on_the_same_connection(quick: Server) -> None:
    with closing(connected(quick)) as line:
        for part in (PING[:7], PING[7:20], PING[20:], PING):
            line.sendall(part)
        read_until(line, b"204 No Content", 2)


@pytest.mark.slow
def test_a_client_that_does_not_read_its_answer_is_disconnected(quick: Server) -> None:
    users = "; ".join(f"CREATE DATABASE d{i:04}_{'x' * 200}" for i in range(500))
    assert quick.query(users).status == 200
    target = "/query?u=root&p=Toor-1&chunked=true&q=" + "%3B".join(["SHOW+DATABASES"] * 200)
    with closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(20)
        line.connect(("127.0.0.1", quick.port))
        line.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        poll_until(lambda: connections(quick) == 1, "the connection is still open")
        assert len(heard(line)) < 20_000_000


def connections(server: Server) -> float:
    """Returns the number of open connections, including the one of this request."""
    return measured(server, "headgate_http_connections")


def measured(server: Server, name: str) -> float:
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /ping HTTP/1.1\r\nX: " + b"x" * 600_000, 431),
        (b"GET /ping HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n", 431),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 204),
        (b"no request at all\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", 400),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /ping HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (
            b"POST /ping HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n",
            400,
        ),
        (b"POST /ping HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"POST /ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nxyz\r\n",
            400,
        ),
        (
            b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n0\r\nX: " + b"y" * 600_000,
            431,
        ),
    ],
)
def test_what_is_no_request_or_too_large_a_one_is_refused(
    quick: Server, sent: bytes, expected: int
) -> None:
    with closing(connected(quick)) as line:
        try:
            line.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = heard(line)
    assert answer == b"" or status(answer) == expected  # a TCP reset may drop the response
    assert answer or len(sent) > 100_000
    assert b"internal" not in answer.lower()


def test_requests_sent_ahead_are_answered_in_order(quick: Server) -> None:
    queries = [
        f"GET /query?u=root&p=Toor-1&q={text} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for text in ("SHOW+USERS", "SHOW+DATABASES", "SHOW+GRANTS+FOR+root")
    ]
    answer = conversation(quick, b"".join(queries))
    places = [answer.index(word) for word in (b'"user"', b'"databases"', b'"privilege"')]
    assert places == sorted(places)


def test_what_comes_behind_a_whole_request_does_not_cost_its_answer(quick: Server) -> None:
    query = b"POST /query?u=root&p=Toor-1&q=SHOW+USERS HTTP/1.1\r\nHost: x\r\n"
    whole = query + b"Content-Length: 0\r\n\r\n"
    for nonsense in (b"nonsense\r\n\r\n", query + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"):
        answer = conversation(quick, whole + PING + whole + nonsense)
        statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200, 204, 200, 400], nonsense


def test_a_client_that_has_said_all_hears_its_answer(quick: Server) -> None:
    with closing(connected(quick)) as line:
        line.sendall(
            b"POST /query?u=root&p=Toor-1&q=SHOW+USERS HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        line.shutdown(socket.SHUT_WR)
        assert b'"user"' in heard(line)
    with closing(connected(quick)) as line:
        line.sendall(
            b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nq="
        )
        line.shutdown(socket.SHUT_WR)
        heard(line)  # the connection closes, with any response


def test_very_many_requests_sent_ahead_are_too_many(quick: Server) -> None:
    answer = conversation(quick, PING * 5000)
    assert 1 <= answer.count(b"204 No Content") < 1000
    assert answer.endswith(b"429 Too Many Requests")


def test_http_1_0_is_answered_in_one_piece_and_closed(quick: Server) -> None:
    for more in (b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"):
        answer = conversation(
            quick,
            b"GET /query?u=root&p=Toor-1&q=SHOW+USERS&chunked=true HTTP/1.0\r\n" + more + b"\r\n",
        )
        assert b"transfer-encoding" not in answer and answer.endswith(b'"root",true]]}]}]}\n')


def test_an_offer_does_not_keep_a_connection_open_that_is_to_be_closed(quick: Server) -> None:
    answer = conversation(
        quick,
        b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n",
    )
    assert status(answer) == 204 and b"connection: close" in answer


def test_trailers_are_no_headers(quick: Server) -> None:
    answer = conversation(
        quick,
        b"POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        b"c\r\nq=SHOW+USERS\r\n0\r\nAuthorization: Token root:Toor-1\r\n\r\n",
    )
    assert status(answer) == 401


@pytest.mark.parametrize("split", [0, 60, 150, 200])
def test_an_offer_of_http_2_is_passed_over(quick: Server, split: int) -> None:
    body = b"q=SHOW+USERS"
    request = (
        b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
        b"Content-Length: 12\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body
    )
    with closing(connected(quick)) as line:
        line.sendall(request[:split])
        time.sleep(0.05 if split else 0)  # two TCP segments
        line.sendall(request[split:])
        read_until(line, b'"user"')
        line.sendall(PING)
        read_until(line, b"204 No Content")


QUERY_CLOSED = (
    b"GET /query?u=root&p=Toor-1&q=SHOW+USERS HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
)


def test_a_statement_of_64_kilobytes_fits_into_a_url(quick: Server) -> None:
    head = QUERY_CLOSED.replace(b"SHOW+USERS", b"SHOW+USERS" + b"+" * 65_536)
    for end in (b"\r\n", b"Content-Length: 1\r\n\r\nx"):
        assert status(conversation(quick, head + end)) == 200


def test_a_small_body_size_refuses_neither_queries_nor_logins(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_MAX_BODY_SIZE="1").bootstrap("CREATE DATABASE db")
    assert server.query("SHOW USERS").status == 200
    multipart = b'--x\r\nContent-Disposition: form-data; name="q"\r\n\r\nSHOW USERS\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert server.request("POST", "/query", multipart, kind, ROOT).status == 200
    assert server.request("POST", "/write?db=db", b"m v=1", basic=ROOT).status == 413
    small = serve(HEADGATE_HTTP_MAX_QUERY_SIZE="20", HEADGATE_HTTP_MAX_BODY_SIZE="0")
    assert small.query("SHOW USERS", None, pad="x" * 40).status == 413
    assert small.request("POST", "/query", multipart * 1_200, kind).status == 413
