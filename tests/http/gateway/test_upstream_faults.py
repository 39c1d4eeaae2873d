"""Responses to the client while an upstream store is unreachable, slow, or sends invalid HTTP.

FAULTS lists the behaviour of the upstream store, and the responses to a query, to a write, and to a
request of Prometheus' API. Headgate acknowledges a write only after the upstream store has.
"""

import http.client
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.raw_connections import connected, read_until
from support.raw_upstream import Answering, raw_upstream
from support.recorder_upstream import recorder
from support.servers import Server
from support.waiting import free_port, poll_until

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
RESULT = b'{"results":[{"statement_id":0}]}\n'


def says(raw: bytes) -> Answering:
    return lambda line, request: line.sendall(raw)


def answers(status: int, body: bytes = b"", more: bytes = b"") -> Answering:
    head = b"HTTP/1.1 %d X\r\nConnection: close\r\n%bContent-Length: %d\r\n\r\n"
    return says(head % (status, more, len(body)) + body)


def nothing(line: socket.socket, request: bytes) -> None:
    """Closes the connection without an answer."""


def silence(line: socket.socket, request: bytes) -> None:
    line.settimeout(10)
    line.recv(1)  # until Headgate gives up


def whole(body: bytes) -> Answering:
    return says(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)


AWAY = "the upstream store cannot be reached"
SILENT = "the upstream store did not answer in time"
BROKEN = "the upstream store broke off, or gave no answer that can be understood"
OURS = "the upstream store refused Headgate's own login there"

# Behaviour of the store; status and error of a query, of a write, of Prometheus' API.
FAULTS: dict[str, tuple[Any, ...]] = {
    "refused": (None, (502, AWAY), (502, AWAY), (502, AWAY)),
    "silent": (silence, (504, SILENT), (504, SILENT), (504, SILENT)),
    "closes": (nothing, (502, BROKEN), (502, BROKEN), (502, BROKEN)),
    "garbage": (says(b"\x00\x01 nonsense\r\n\r\n"), *((502, BROKEN),) * 3),
    "HTTP/0.9": (says(b"hello\r\n"), *((502, BROKEN),) * 3),
    "endless head": (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 60_000), *((502, BROKEN),) * 3),
    "half a head": (says(b"HTTP/1.1 200 OK\r\nContent-"), *((502, BROKEN),) * 3),
    "odd status": (
        answers(999),
        *((502, BROKEN),) * 3,
    ),
    "two lengths": (
        says(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        *((502, BROKEN),) * 3,
    ),
    "dies in a short answer": (
        says(OK + b"Content-Length: 1000\r\n\r\n{"),
        (0, ""),
        (502, BROKEN),
        (502, BROKEN),
    ),
    "dies in a chunk": (
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n100\r\nabc"),
        (0, ""),
        (502, BROKEN),
        (0, ""),
    ),
    "500": (
        says(
            b'HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 18\r\n\r\n{"error":"broken"}'
        ),
        (500, "broken"),
        (500, "broken"),
        (500, "broken"),
    ),
    "503": (
        answers(503, b'{"error":"busy"}', b"Retry-After: 9\r\n"),
        (503, "busy"),
        (503, "busy"),
        (503, "busy"),
    ),
    "401": (
        answers(401),
        *((502, OURS),) * 3,
    ),
    "403": (
        answers(403),
        *((502, OURS),) * 3,
    ),
    "redirect": (
        answers(302, b"", b"Location: http://x/\r\n"),
        *((502, BROKEN),) * 3,
    ),
}


def basic(login: tuple[str, str]) -> str:
    return "Basic " + b64encode(":".join(login).encode()).decode()


def asked(server: Server, what: str) -> tuple[int, str]:
    """Returns status and error; the status is 0 if the answer is incomplete."""
    try:
        match what:
            case "query":
                answer = server.query("SELECT v FROM cpu", ANN, db="a")
            case "write":
                answer = server.request("POST", "/write?db=a", b"cpu v=1", basic=ANN)
            case _:
                answer = server.request("GET", "/m/prometheus/api/v1/query", basic=ANN)
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError):
        return 0, ""
    return answer.status, answer.error if answer.status >= 400 else ""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_as_such(serve: Callable[..., Server], tmp_path: Path, fault: str) -> None:
    answer, *expected = FAULTS[fault]
    with raw_upstream(answer or nothing) as store:
        url = store.url if answer is not None else f"http://127.0.0.1:{free_port()}"
        options = {
            # Only for an upstream store without a response, Headgate waits until its timeout.
            "read-timeout": "400ms" if fault == "silent" else "20s",
            "connect-timeout": "1s",
        }
        tables = upstream("influxdb1", urls=[url], **options)
        tables += upstream("mimir", urls=[url], mount="/m", **options)
        server = configured(serve, tmp_path, tables)
        # The databases are created before the fault begins.
        store.answer = whole(RESULT)
        if answer is None:
            server.bootstrap("CREATE USER ann WITH PASSWORD 'Ann-pw-1'")
            code, error = asked(server, "write")
            assert (code, error.partition(" user")[0]) == (403, '"ann"')
            check_away(server)
            return
        server.bootstrap(TWO)
        store.answer = answer
        found = [asked(server, what) for what in ("query", "write", "prometheus")]
        assert found == expected
        # After the fault requests succeed again.
        store.answer = says(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        assert asked(server, "write") == (204, "")
        page = server.request("GET", "/metrics").body.decode()
        assert 'headgate_upstream_requests_total{component="",outcome=' in page


def check_away(server: Server) -> None:
    """Checks that requests that need no store succeed while the store is unreachable."""
    answer = server.query("CREATE DATABASE a")
    assert (answer.status, answer.error) == (502, AWAY)
    assert server.query("SHOW USERS").rows() == [["root", True], ["ann", False]]
    health = server.request("GET", "/health").json
    states = {check["name"]: check["status"] for check in health["checks"]}
    assert states == {"upstream influxdb1": "fail", "upstream mimir": "fail"}


def test_what_comes_after_a_failure_is_not_executed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with raw_upstream(whole(RESULT)) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        store.answer = nothing
        text = "SHOW USERS; SELECT v FROM a..cpu; CREATE USER late WITH PASSWORD 'Late-1'"
        results = server.query(text).json["results"]
        assert [result.get("error", "") for result in results] == ["", BROKEN, "not executed"]
        assert ["late", False] not in server.query("SHOW USERS").rows()


def test_a_write_is_sent_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The effect of a broken write is unknown. Only reads are retried, at another address."""
    with raw_upstream(whole(RESULT)) as one, raw_upstream(whole(RESULT)) as two:
        table = upstream("influxdb1", urls=[one.url, two.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        one.answer = two.answer = nothing
        before = len(one.requests) + len(two.requests)
        assert asked(server, "write") == (502, BROKEN)
        assert len(one.requests) + len(two.requests) == before + 1
        assert asked(server, "query") == (502, BROKEN)
        assert len(one.requests) + len(two.requests) == before + 3
        answer = server.query("DELETE FROM cpu", ANN, db="a")
        assert (answer.status, answer.error) == (502, BROKEN)
        assert len(one.requests) + len(two.requests) == before + 4


@pytest.mark.slow
def test_addresses_take_turns_and_one_that_is_away_is_left_out(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder("one") as one, recorder("two") as two:
        one.reply = two.reply = lambda heard: (204, {}, b"")
        gone = f"http://127.0.0.1:{free_port()}"
        options = {"fail-timeout": "1h"}
        table = upstream("mimir", urls=[one.url, gone, two.url], **options)
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        for _ in range(9):
            answer = server.request("POST", "/api/v1/push", b"x" * 100_000, basic=ANN)
            assert answer.status == 204
        assert len(one.heard) + len(two.heard) == 9
        assert min(len(one.heard), len(two.heard)) >= 3
        assert all(len(heard.body) == 100_000 for heard in one.heard + two.heard)
        page = server.request("GET", "/metrics").body.decode()
        assert 'outcome="unreachable",upstream="mimir"} 1.0' in page


def test_an_upload_that_breaks_off_is_no_write(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        store.reply = lambda heard: (204, {}, b"")
        table = upstream("mimir", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        head = (
            f"POST /api/v1/push HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ANN)}\r\n"
            "Content-Length: 100000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(head.encode() + b"x" * 1000)
        poll_until(lambda: "499" in server.log(), "it was not noticed")
        assert all(len(heard.body) < 100_000 for heard in store.heard)
        answer = server.request("POST", "/api/v1/push", b"y" * 100_000, basic=ANN)
        assert answer.status == 204


def test_too_large_a_body_is_stopped_on_its_way(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        table = upstream("mimir", urls=[store.url])
        server = configured(serve, tmp_path, table, "--max-body-size", "1000").bootstrap(TWO)
        assert server.request("POST", "/api/v1/push", b"x" * 1001, basic=ANN).status == 413
        head = (
            f"POST /api/v1/push HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ANN)}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2000\r\n"
        )
        with connected(server) as line:
            line.sendall(head.encode() + b"x" * 8192 + b"\r\n0\r\n\r\n")
            read_until(line, b"HTTP/1.1 413 ")
        assert [heard for heard in store.heard if len(heard.body) > 1000] == []


def test_a_client_that_leaves_takes_the_stores_answer_with_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    left = threading.Event()

    def endless(line: socket.socket, request: bytes) -> None:
        line.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                line.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            left.set()

    with raw_upstream(endless) as store:
        table = upstream("mimir", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        login = {"Authorization": basic(ANN)}
        connection.request("GET", "/prometheus/api/v1/query?" + urlencode({"q": "x"}), None, login)
        response = connection.getresponse()
        assert len(response.read(1 << 20)) == 1 << 20
        response.close()
        connection.close()
        assert left.wait(20), "the store is still sending"
