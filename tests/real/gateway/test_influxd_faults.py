"""A real influxd that refuses Headgate's login."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.validation.gateway import check_connections
from support.gateway_fixtures import configured, upstream
from support.influxd import Influxd, needs_influxd
from support.recorder_upstream import Heard, recorder
from support.servers import ROOT, Server
from support.waiting import free_port

REFUSED = "the upstream store refused Headgate's own login there"
AWAY = "the upstream store cannot be reached"


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
        assert checked(urls=[url]) == [
            f"upstream 'influxdb1': {REFUSED}: {url}: status 401:"
            " set username and password-file in [[gateway.upstream]]"
        ]
        assert checked(urls=[url], username="root", password=ROOT[1]) == []
        (problem,) = checked(urls=[url], username="plain", password="Plain-1")
        assert problem.endswith("does not accept this login as an administrator: see username")
        (problem,) = checked(urls=[url], username="root", password=ROOT[1], protocol="influxdb2")
        assert "is InfluxDB 1." in problem and problem.endswith("expected 2: see protocol")


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
