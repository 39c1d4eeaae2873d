"""Operation of a gateway: limits, reloading, draining and metrics."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headgate_engine import Principal, User
from headgate_server.gateway.errors import UserLimitExceeded
from headgate_server.gateway.user_limits import UserLimits
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.raw_upstream import raw_upstream
from support.recorder_upstream import recorder
from support.servers import ROOT, Server

QUERY = "/prometheus/api/v1/query"
PUSH = "/api/v1/push"


@pytest.mark.slow
def test_a_user_has_so_many_requests_under_way_and_others_their_own(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    going_on, seen = threading.Event(), threading.Semaphore(0)

    def slow(line: socket.socket, request: bytes) -> None:
        seen.release()
        going_on.wait(20)
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    with raw_upstream(slow) as store:
        table = upstream("mimir", urls=[store.url]) + upstream(
            "influxdb1", urls=[store.url], mount="/i"
        )
        server = configured(serve, tmp_path, table, gateway="max-concurrent-per-user = 2")
        server.bootstrap(TWO)
        with ThreadPoolExecutor(3) as threads:
            both = [threads.submit(server.request, "GET", QUERY, basic=ANN) for _ in range(2)]
            assert seen.acquire(timeout=20) and seen.acquire(timeout=20)
            third = server.request("GET", QUERY, basic=ANN)
            assert (third.status, third.headers["Retry-After"]) == (429, "1")
            # Writes get 503 instead of 429: clients discard the data after a 4xx.
            assert server.request("POST", PUSH, b"x", basic=ANN).status == 503
            assert server.request("POST", "/i/write?db=a", b"m v=1", basic=ANN).status == 503
            other = threads.submit(server.request, "GET", QUERY, basic=BOB)
            assert seen.acquire(timeout=20)
            going_on.set()
            assert [one.result().status for one in (*both, other)] == [200] * 3
        assert server.request("GET", QUERY, basic=ANN).status == 200


def test_a_rate_is_a_second_s_worth_at_once_and_then_so_many_a_second() -> None:
    now = 0.0
    limits = UserLimits(0, 3, lambda: now)

    def taken(name: str = "ann") -> int:
        principal = Principal(User("1", name, "", False, {}), "password")
        count = 0
        try:
            while True:
                limits.acquire(principal)()
                count += 1
        except UserLimitExceeded as error:
            assert error.seconds == 1
        return count

    assert taken() == 3 and taken() == 0 and taken("bob") == 3
    now = 0.5
    assert taken() == 1
    now = 100.0
    assert taken() == 3


@pytest.mark.slow
def test_a_rate_holds_over_http(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder() as store:
        table = upstream("mimir", urls=[store.url])
        server = configured(serve, tmp_path, table, gateway="rate-per-user = 5").bootstrap(TWO)
        found = [server.request("GET", QUERY, basic=ANN).status for _ in range(30)]
        assert found[:5] == [200] * 5 and found.count(429) >= 10
        assert len(store.heard) == found.count(200)


def test_figures_of_each_store(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder() as store:
        store.reply = lambda heard: (418 if "labels" in heard.target else 200, {}, b"{}")
        table = upstream("mimir", name="m", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        for path in (QUERY, QUERY, "/prometheus/api/v1/labels", "/nope"):
            server.request("GET", path, basic=ANN)
        page = server.request("GET", "/metrics").body.decode()
        head = 'headgate_upstream_requests_total{component="query-frontend",outcome='
        assert head + '"200",upstream="m"} 2.0' in page
        assert head + '"418",upstream="m"} 1.0' in page
        assert 'headgate_upstream_duration_seconds_count{upstream="m"} 3.0' in page
        assert 'headgate_upstream_answers_open{upstream="m"} 0.0' in page
        route = 'headgate_http_requests_total{method="GET",route="gateway m",status='
        assert route + '"404"} 1.0' in page
        assert f'route="gateway m {QUERY.partition("?")[0]}" status=200' in server.log()
        assert "database=a" in server.log() and "Ann-pw-1" not in server.log()


def test_headgate_s_own_login_at_the_store(serve: Callable[..., Server], tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("Upstream-secret-1\n")
    with recorder() as store:
        tables = (
            upstream("mimir", urls=[store.url], username="gate", **{"password-file": str(secret)})
            + upstream("influxdb3", urls=[store.url], mount="/3", **{"token-file": str(secret)})
            + upstream("influxdb2", urls=[store.url], mount="/2", **{"token-file": str(secret)})
        )
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        server.secrets.add("Upstream-secret-1")
        server.request("GET", QUERY, basic=ANN)
        assert store.last.all("Authorization") == ["Basic Z2F0ZTpVcHN0cmVhbS1zZWNyZXQtMQ=="]
        store.reply = lambda heard: (204, {}, b"")
        assert server.request("POST", "/3/write?db=a", b"m v=1", basic=ANN).status == 204
        assert store.last.all("Authorization") == ["Bearer Upstream-secret-1"]
        assert (
            server.request("POST", "/2/api/v2/write?bucket=a/x", b"m v=1", basic=ANN).status == 204
        )
        assert store.last.all("Authorization") == ["Token Upstream-secret-1"]
        assert store.last.target == "/write?db=a&rp=x"
        # Upstream stores create their databases. Headgate stores only database names and grants.
        heard = len(store.heard)
        for statement in ("CREATE DATABASE c", "DROP DATABASE c"):
            url = "/3/query?q=" + statement.replace(" ", "+")
            assert not server.request("POST", url, b"", basic=ROOT).error
        assert len(store.heard) == heard
