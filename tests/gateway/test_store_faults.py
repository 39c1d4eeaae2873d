"""A store that is away, or refuses Headgate: an error for clients, in /health, in the log, and in a
check of the configuration.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_world import configured, upstream
from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.validation.gateway import check_connections
from influxd_program import Influxd, needs_influxd
from raw_upstream import raw_upstream
from recorder_upstream import Heard, recorder
from support.servers import ROOT, Server
from support.waiting import free_port, poll_until

REFUSED = "the upstream store refused Headgate's own login there"
AWAY = "the upstream store cannot be reached"
NOWHERE = "http://127.0.0.1:1"


def checked(**upstream: Any) -> list[str]:
    table = {name.replace("_", "-"): value for name, value in upstream.items()}
    return asyncio.run(check_connections(read_gateway_settings({"upstream": [table]})))


def health(server: Server) -> tuple[int, str, dict[str, str]]:
    answer = server.request("GET", "/health")
    states = {check["name"]: check["status"] for check in answer.json["checks"]}
    return answer.status, answer.json["message"], states


@needs_influxd
def test_a_store_that_refuses_the_login_is_no_empty_store(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path) as influxd:
        influxd.bootstrap("CREATE DATABASE old; CREATE USER plain WITH PASSWORD 'Plain-1'")
        url = f"http://127.0.0.1:{influxd.port}"
        login = {"username": "root", "password": "Wrong-1"}
        server = configured(serve, tmp_path, upstream("influxdb1", urls=[url], **login))
        server.bootstrap()
        answer = server.query("SHOW DATABASES")
        assert (answer.status, answer.error) == (502, REFUSED)
        results = server.query("SHOW USERS; SHOW DATABASES").json["results"]
        assert [result.get("error", "") for result in results] == ["", REFUSED]
        assert health(server)[::2] == (503, {"upstream influxdb1": "fail"})
        assert f"{REFUSED}: {url}: status 401" in server.log()
        assert checked(urls=[url], **login) == [
            f"upstream 'influxdb1': {REFUSED}: {url}: status 401"
        ]
        assert checked(urls=[url]) == [f"upstream 'influxdb1': {REFUSED}: {url}: status 401"]
        assert checked(urls=[url], username="root", password=ROOT[1]) == []
        (problem,) = checked(urls=[url], username="plain", password="Plain-1")
        assert problem.endswith("does not accept this login as an administrator: see username")
        (problem,) = checked(urls=[url], username="root", password=ROOT[1], protocol="influxdb2")
        assert "is InfluxDB 1." in problem and problem.endswith("expected 2: see protocol")


@pytest.mark.parametrize("protocol", ["influxdb1", "victoriametrics", "mimir", "loki"])
def test_health_fails_when_the_only_store_is_away(
    serve: Callable[..., Server], tmp_path: Path, protocol: str
) -> None:
    server = configured(serve, tmp_path, upstream(protocol, urls=[NOWHERE])).bootstrap()
    status, message, states = health(server)
    assert (status, message) == (503, "no upstream store can be used")
    assert states == {f"upstream {protocol}": "fail"}
    (check,) = server.request("GET", "/health").json["checks"]
    assert check["message"] == f"1 of 1 addresses away: {AWAY}"
    assert server.request("GET", "/ping").status == 204


def test_one_store_of_several_takes_no_server_out_of_service(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        well = upstream("mimir", urls=[store.url, NOWHERE], mount="/m")
        away = upstream("loki", urls=[NOWHERE], mount="/l")
        server = configured(serve, tmp_path, well + away).bootstrap()
        status, message, states = health(server)
        assert (status, message) == (200, "ready for queries and writes, but for loki")
        assert states == {"upstream mimir": "fail", "upstream loki": "fail"}


def test_a_store_without_one_of_its_components_is_not_usable(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        parts = {"distributor": store.url, "query-frontend": NOWHERE}
        server = configured(serve, tmp_path, upstream("mimir", components=parts)).bootstrap()
        assert health(server)[:2] == (503, "no upstream store can be used")


def test_health_tells_when_a_store_is_back(serve: Callable[..., Server], tmp_path: Path) -> None:
    answers: list[Any] = [(503, {}, b"")]
    with recorder() as store:
        store.reply = lambda heard: answers[-1]
        server = configured(serve, tmp_path, upstream("mimir", urls=[store.url])).bootstrap()
        assert health(server)[0] == 503
        answers.append((200, {}, b"ready"))
        poll_until(lambda: health(server)[0] == 200, "it stays away")


def test_the_log_names_address_and_reason_and_clients_hear_of_neither(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    def closes(line: Any, request: bytes) -> None:
        line.close()

    def babbles(line: Any, request: bytes) -> None:
        line.sendall(b"220 ready\r\n")

    with raw_upstream(closes) as closing, raw_upstream(babbles) as babbling:
        for name, url, reason in [
            ("m", NOWHERE, "Connection refused"),
            ("n", "http://nowhere.invalid:9", "not known"),
            ("c", closing.url, "it closed the connection"),
            ("b", babbling.url, "its answer is not HTTP"),
        ]:
            tables = upstream("influxdb1", name=name, urls=[url])
            server = configured(serve, tmp_path, tables).bootstrap()
            for method, path in [("POST", "/write?db=a"), ("GET", "/query?q=SHOW+DATABASES")]:
                answer = server.request(method, path, b"", basic=ROOT)
                assert answer.status == 502, (name, path)
                assert url not in answer.error and reason not in answer.error
            lines = [line for line in server.log().splitlines() if url in line]
            assert any("headgate: upstream '" in line for line in lines), lines
            assert any("status=502" in line and reason in line for line in lines), lines
            assert server.stop() == 0


def test_a_check_names_what_keeps_a_store_away(tmp_path: Path) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    assert checked(urls=[closed]) == [f"upstream 'influxdb1': {AWAY}: {closed}: Connection refused"]
    with recorder() as store:
        secure = store.url.replace("http:", "https:")
        (problem,) = checked(urls=[secure])
        assert problem.startswith(f"upstream 'influxdb1': {AWAY}: {secure}: TLS failed: ")
        assert checked(urls=[store.url]) == [
            f"upstream 'influxdb1': {store.url} does not answer as InfluxDB 1: see protocol"
        ]

        def second(heard: Heard) -> tuple[int, dict[str, str], bytes]:
            return 200, {"X-Influxdb-Version": "v2.7.1"}, b'{"results":[]}'

        store.reply = second
        assert checked(urls=[store.url]) == [
            f"upstream 'influxdb1': {store.url} is InfluxDB 2.7.1, expected 1: see protocol"
        ]
        store.reply = lambda heard: (404, {}, b"")
        assert checked(urls=[store.url], protocol="mimir") == [
            f"upstream 'mimir': {store.url} does not answer as mimir: see protocol"
        ]
    assert checked(protocol="mimir") == []


def test_a_statement_that_needs_no_store_is_answered_without_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = configured(serve, tmp_path, upstream("influxdb1", urls=[NOWHERE])).bootstrap()
    assert not server.query("CREATE USER ann WITH PASSWORD 'Ann-pw-1'; SHOW USERS").error
    assert server.query("SHOW DATABASES").status == 502
