"""Repeats attacks that once succeeded against the gateway."""

import http.client
import json
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlencode

import pytest

from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.raw_connections import connected, read_until
from support.raw_upstream import RawUpstream, raw_upstream
from support.recorder_upstream import recorder, said
from support.servers import ROOT, Server
from support.waiting import poll_until

QUERY = "/m/prometheus/api/v1/query"
RESULT = {"results": [{"statement_id": 0}]}
DONE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Held:
    """An upstream store that answers after `let` is set."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.let = threading.Event()
        self.left = threading.Event()

    def __call__(self, line: socket.socket, request: bytes) -> None:
        self.asked.release()
        line.settimeout(0.1)
        for _ in range(200):
            if self.let.is_set():
                line.sendall(DONE)
                return
            try:
                if not line.recv(1):
                    self.left.set()
                    return
            except TimeoutError:
                continue


def store_and_server(
    store: RawUpstream, serve: Callable[..., Server], tmp_path: Path, **options: str
) -> Server:
    tables = upstream("mimir", urls=[store.url], mount="/m", **options)
    tables += upstream("influxdb1", urls=[store.url], **options)
    held, store.answer = store.answer, lambda line, request: line.sendall(_result())
    server = configured(serve, tmp_path, tables, gateway="max-concurrent-per-user = 2")
    server.bootstrap(TWO)
    store.answer = held
    return server


def _result() -> bytes:
    body = json.dumps(RESULT).encode()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


@pytest.mark.slow
def test_a_reload_breaks_nothing_off_that_waits(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    held = Held()
    with raw_upstream(held) as store, ThreadPoolExecutor(1) as threads:
        server = store_and_server(store, serve, tmp_path, **{"read-timeout": "2s"})
        written = threads.submit(server.request, "POST", "/write?db=a", b"m v=1", None, ANN)
        assert held.asked.acquire(timeout=20)
        server.reload()
        poll_until(lambda: "read again" in server.log(), "it does not read")
        held.let.set()
        assert written.result().status == 204
        # A body still being sent goes to the former store, with the read timeout.
        held.let.clear()
        with connected(server) as line:
            login = b64encode(":".join(ANN).encode()).decode()
            head = (
                f"POST /write?db=a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n"
                "Content-Length: 4\r\n\r\nm "
            )
            line.sendall(head.encode())
            server.reload()
            poll_until(lambda: server.log().count("read again") == 2, "it does not read")
            line.sendall(b"v1")
            read_until(line, b"HTTP/1.1 504 ")


@pytest.mark.slow
def test_what_goes_on_without_a_client_counts(serve: Callable[..., Server], tmp_path: Path) -> None:
    held = Held()
    with raw_upstream(held) as store:
        server = store_and_server(store, serve, tmp_path)
        fields = {"db": "a", "async": "true"}
        found = [server.query("SELECT v INTO w FROM m", ANN, **fields).status for _ in range(5)]
        assert found == [204, 204, 429, 429, 429]
        held.let.set()
        poll_until(
            lambda: server.query("SELECT v INTO w FROM m", ANN, **fields).status == 204, "for ever"
        )


@pytest.mark.parametrize("rudely", [True, False])
def test_a_request_of_a_client_that_left_is_ended(
    serve: Callable[..., Server], tmp_path: Path, rudely: bool
) -> None:
    held = Held()
    with raw_upstream(held) as store:
        server = store_and_server(store, serve, tmp_path)
        login = {"Authorization": "Basic " + b64encode(":".join(ANN).encode()).decode()}
        for path in ("/query?" + urlencode({"q": "SELECT v FROM m", "db": "a"}), QUERY):
            held.left.clear()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", path, None, login)
            assert held.asked.acquire(timeout=20)
            if rudely:
                linger = struct.pack("ii", 1, 0)
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
            assert held.left.wait(10), "the store is still asked"
        poll_until(lambda: "status=499" in server.log(), "not logged")
        assert "unexpected" not in server.log()


@pytest.mark.slow
def test_large_answers_are_handed_on_one_after_the_other(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    large = b'{"results":[{"statement_id":0,"x":"' + b"x" * 20_000_000 + b'"}]}\n'
    with recorder() as store:
        store.reply = lambda heard: said(RESULT)
        server = configured(serve, tmp_path, upstream("influxdb1", urls=[store.url])).bootstrap(TWO)
        store.reply = lambda heard: (200, {"Content-Type": "application/json"}, large)
        results = server.query("SELECT v FROM m;" * 6, ANN, db="a").json["results"]
        assert [len(result["x"]) for result in results] == [20_000_000] * 6
        assert [result["statement_id"] for result in results] == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_saturated_address_is_not_the_only_one(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    held = Held()
    with raw_upstream(held) as one, recorder() as two, ThreadPoolExecutor(2) as threads:
        two.reply = lambda heard: (204, {}, b"")
        options = {"max-connections": 1, "connect-timeout": "300ms"}
        table = upstream("mimir", urls=[one.url, two.url], mount="/m", **options)
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        first = threads.submit(server.request, "GET", QUERY, None, None, ANN)
        assert held.asked.acquire(timeout=20)
        for _ in range(4):
            assert server.request("GET", QUERY, basic=BOB).status == 204
        held.let.set()
        assert first.result().status == 204
        assert "unexpected" not in server.log()


def test_names_that_are_no_text_are_no_fault(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder() as store:
        tables = upstream("mimir", name="m", urls=[store.url], mount="/m")
        tables += upstream("victoriametrics", urls=[store.url], mount="/v")
        gateway = 'trusted-proxies = ["127.0.0.1/32"]'
        server = configured(serve, tmp_path, tables, gateway=gateway).bootstrap(TWO)
        for path in ("/m/db/%ff/prometheus/api/v1/labels", "/v/api/v1/labels?db=%ff"):
            assert server.request("GET", path, basic=ROOT).status == 400
        for uri in ("http://[", "https://x/m/db/%ff/prometheus/api/v1/labels"):
            headers = {"X-Original-URL": uri, "X-Original-Method": "GET"}
            assert server.request("GET", "/auth/nginx/m", None, headers, ROOT).status == 403
        assert "unexpected" not in server.log()


def test_a_fragment_is_no_part_of_a_database(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = configured(serve, tmp_path, upstream("influxdb1", name="i")).bootstrap(TWO)
    for kind, header in (("caddy", "X-Forwarded"), ("nginx", "X-Original")):
        for query in ("db=a#x", "db=a#&db=b", "db=a#;db=b"):
            headers = {f"{header}-Uri": f"/write?{query}", f"{header}-Method": "POST"}
            answer = server.request("GET", f"/auth/{kind}/i", None, headers, ANN)
            assert answer.status == 403, query


@pytest.mark.slow
def test_a_client_of_caddy_does_not_choose_the_address_of_guesses(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = configured(serve, tmp_path, upstream("mimir", name="m")).bootstrap(TWO)
    found = []
    for number in range(12):
        headers = {
            "X-Forwarded-Uri": "/prometheus/api/v1/query",
            "X-Forwarded-Method": "GET",
            "X-Forwarded-For": f"10.0.0.{number}, 10.9.9.9",
            "X-Real-IP": f"10.0.0.{number}",
        }
        wrong = ("ann", f"Wrong-{number}")
        found.append(server.request("GET", "/auth/caddy/m", None, headers, wrong).status)
    assert 503 in found


@pytest.mark.parametrize("name", ["é", "100%", "%C3%A9", "a b"])
def test_two_users_are_never_one_to_the_store(
    serve: Callable[..., Server], tmp_path: Path, name: str
) -> None:
    with recorder() as store:
        table = upstream("mimir", urls=[store.url], mount="/m")
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        text = f'CREATE USER "{name}" WITH PASSWORD \'Same-pw-1\'; GRANT READ ON a TO "{name}"'
        assert not server.query(text).error
        assert server.request("GET", QUERY, basic=(name, "Same-pw-1")).status == 200
        (sent,) = store.last.all("X-Auth-User")
        assert unquote(sent) == name and sent.isascii()


def test_a_304_has_no_body(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder() as store:
        store.reply = lambda heard: (304, {"Content-Length": "7", "ETag": "x"}, b"")
        table = upstream("mimir", urls=[store.url], mount="/m")
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        answer = server.request("GET", QUERY, basic=ANN)
        assert (answer.status, answer.headers["ETag"]) == (304, "x")
        assert "unexpected" not in server.log()


@pytest.mark.parametrize("place", ["", "/v", "/l"])
def test_a_database_is_dropped_in_every_store_that_has_it(
    serve: Callable[..., Server], tmp_path: Path, place: str
) -> None:
    with recorder("influx") as influx, recorder("victoria") as victoria, recorder("loki") as loki:
        for one in (influx, loki):
            one.reply = lambda heard: said(RESULT)
        victoria.reply = lambda heard: (
            said({"status": "success", "data": []}) if "/label/" in heard.path else (204, {}, b"")
        )
        tables = upstream("influxdb1", urls=[influx.url], drop_data=True)
        tables += upstream("victoriametrics", urls=[victoria.url], mount="/v", drop_data=True)
        tables += upstream("loki", urls=[loki.url], mount="/l")
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        influx.heard.clear()
        victoria.heard.clear()
        # Loki has no InfluxQL, so its mount has no /query: the one at the root is used.
        url = ("" if place == "/l" else place) + "/query?q=DROP+DATABASE+a"
        assert not server.request("POST", url, b"", basic=ROOT).error
        assert [b"DROP+DATABASE+a" in heard.body for heard in influx.heard] == [True]
        assert [heard.path for heard in victoria.heard] == ["/api/v1/admin/tsdb/delete_series"]
        assert loki.heard == []
        assert server.query("SHOW GRANTS FOR ann").rows() == []


@pytest.mark.parametrize(("place", "forwarded"), [("", True), ("/v", False), ("/l", True)])
def test_unless_configured_data_is_dropped_only_by_the_influxdb_that_is_asked(
    serve: Callable[..., Server], tmp_path: Path, place: str, forwarded: bool
) -> None:
    with recorder("influx") as influx, recorder("second") as second, recorder() as victoria:
        influx.reply = second.reply = lambda heard: said(RESULT)
        tables = upstream("influxdb1", name="i", urls=[influx.url])
        tables += upstream("influxdb1", name="s", urls=[second.url], mount="/s")
        tables += upstream("victoriametrics", urls=[victoria.url], mount="/v")
        tables += upstream("loki", urls=["http://127.0.0.1:1"], mount="/l")
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        influx.heard.clear()
        url = ("" if place == "/l" else place) + "/query?q=DROP+DATABASE+a"
        assert not server.request("POST", url, b"", basic=ROOT).error
        dropped = [b"DROP+DATABASE+a" in heard.body for heard in influx.heard]
        assert dropped == ([True] if forwarded else [])
        assert not any(b"DROP" in heard.body for heard in second.heard)
        assert not any("delete_series" in heard.path for heard in victoria.heard)
        assert server.query("SHOW GRANTS FOR ann").rows() == []


@pytest.mark.slow
def test_where_one_store_keeps_it_and_fails_it_is_not_dropped(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as loki:
        tables = upstream("loki", urls=[loki.url])
        tables += upstream(
            "victoriametrics", urls=["http://127.0.0.1:1"], mount="/v", drop_data=True
        )
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        answer = server.query("DROP DATABASE a")
        assert (answer.status, answer.error) == (502, "the upstream store cannot be reached")
        assert server.query("SHOW GRANTS FOR ann").rows() == [["a", "ALL PRIVILEGES"]]
        # Other statements do not need the upstream store.
        assert not server.query("CREATE DATABASE c; SHOW DATABASES").error
        assert "no upstream store" in server.query("SELECT v FROM m", ANN, db="a").error


def test_a_user_without_privileges_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder() as store:
        tables = upstream("mimir", urls=[store.url], mount="/m")
        tables += upstream("victoriametrics", urls=[store.url], mount="/v")
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        server.query("CREATE USER eve WITH PASSWORD 'Eve-pw-1'; GRANT READ ON b TO ann")
        answer = server.request("GET", QUERY, basic=("eve", "Eve-pw-1"))
        assert (answer.status, "requires READ on a database" in answer.error) == (403, True)
        # A query to VictoriaMetrics is for one database; the error says so.
        two = {"X-Scope-OrgID": "a|b"}
        answer = server.request("GET", "/v/api/v1/labels", None, two, ANN)
        assert (answer.status, "one database at a time" in answer.error) == (400, True)
        assert store.heard == []
