"""InfluxDB 1.x's other paths, such as Prometheus' remote read and write.

They are forwarded with the required privilege, or rejected with an error.

"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_server.config.gateway_reader import read_gateway_settings
from headgate_server.upstream.snappy import compress
from headgate_server.validation.gateway import check_connections
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.influxd import Influxd, needs_influxd
from support.prometheus import Prometheus, needs_prometheus
from support.recorder_upstream import recorder
from support.servers import ROOT, Server
from support.waiting import poll_until

WRITE, READ = "/api/v1/prom/write", "/api/v1/prom/read"
EMPTY = b"\0"
GRAF = ("graf", "Graf-pw-1")
READER = "CREATE USER graf WITH PASSWORD 'Graf-pw-1'; GRANT READ ON a TO graf"
# Responses of InfluxDB 1.x with authentication. One differs: here `read` requires READ.
ANSWERS = [
    ("POST", f"{WRITE}?db=a", ANN, 204, ""),
    ("POST", f"{WRITE}?db=a", ROOT, 204, ""),
    ("POST", f"{WRITE}?db=a", GRAF, 403, '"graf" user is not authorized to write to database "a"'),
    ("POST", f"{WRITE}?db=b", ANN, 403, '"ann" user is not authorized to write to database "b"'),
    ("POST", f"{WRITE}?db=a&db=b", ANN, 204, ""),
    ("POST", f"{WRITE}?db=a", None, 401, "unable to parse authentication credentials"),
    ("POST", f"{WRITE}?db=a", ("ann", "wrong"), 401, "authorization failed"),
    ("POST", WRITE, ANN, 400, "database is required"),
    ("POST", f"{WRITE}?db=nope", ROOT, 404, 'database not found: "nope"'),
    ("POST", f"{READ}?db=b", GRAF, 403, 'user "graf" is not authorized to read from database "b"'),
    ("POST", f"{READ}?db=a", None, 401, "unable to parse authentication credentials"),
    ("POST", READ, GRAF, 400, "database is required"),
    ("POST", f"{READ}?db=nope", ROOT, 404, 'database not found: "nope"'),
    ("POST", f"{READ}?db=a", GRAF, 400, "Prometheus read endpoint currently only supports one"),
    ("POST", "/api/v2/query?org=x", ANN, 403, "Flux query service disabled: Headgate authorizes"),
    ("POST", "/api/v2/query", None, 401, "unable to parse authentication credentials"),
    ("POST", "/api/v2/delete?bucket=a", ANN, 501, "/api/v2/delete is not served: use DELETE"),
    ("GET", "/api/v2/buckets", ANN, 501, "/api/v2/buckets is not served: use SHOW DATABASES"),
    ("DELETE", "/api/v2/buckets/1", ROOT, 501, "/api/v2/buckets is not served"),
    ("GET", "/api/v1/prom/metrics", ANN, 501, "the store's own metrics are not served"),
    ("GET", "/debug/vars", ROOT, 501, "the store's own /debug is not served"),
    ("GET", "/debug/pprof/heap", ROOT, 501, "the store's own /debug is not served"),
    ("GET", "/debug/requests", None, 401, "unable to parse authentication credentials"),
]


@pytest.mark.slow
@needs_influxd
def test_each_path_of_influxdb_is_served_or_refused_with_a_sentence(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        table = upstream("influxdb1", urls=[f"http://127.0.0.1:{influxd.port}"])
        server = configured(serve, tmp_path, table).bootstrap(TWO, READER)
        for method, path, login, status, error in ANSWERS:
            answer = server.request(method, path, EMPTY, basic=login)
            assert answer.status == status, (method, path, answer.body)
            assert (answer.error if answer.body else "").startswith(error), answer.body
        for path in (WRITE, READ):
            answer = server.request("GET", f"{path}?db=a", basic=ANN)
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert server.request("POST", f"{WRITE}?db=a", b"no snappy", basic=ANN).status == 400


@pytest.mark.slow
@needs_influxd
def test_writers_that_are_only_to_wait_receive_503(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Influxd(tmp_path, auth=False) as influxd:
        table = upstream("influxdb1", urls=[f"http://127.0.0.1:{influxd.port}"])
        server = configured(serve, tmp_path, table, gateway="rate-per-user = 1").bootstrap(TWO)
        found = {
            server.request("POST", f"{WRITE}?db=a", EMPTY, basic=ANN).status for _ in range(20)
        }
        assert found == {204, 503}


def test_other_stores_than_influxdb_1_take_no_remote_write(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        tables = "".join(
            upstream(protocol, urls=[store.url], mount=f"/{protocol}")
            for protocol in ("influxdb2", "mimir", "victoriametrics")
        )
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        for place, status in [("", 501), ("/influxdb2", 501), ("/mimir", 404)]:
            answer = server.request("POST", f"{place}{WRITE}?db=a", EMPTY, basic=ANN)
            assert answer.status == status, place
        none = "no upstream store takes this API here: data cannot be written"
        for path in (f"{WRITE}?db=a", "/write?db=a"):
            assert server.request("POST", path, b"", basic=ANN).error == none
        assert store.heard == []


def test_without_a_store_data_is_refused_after_authorization(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap(TWO)
    answer = server.request("POST", f"{WRITE}?db=a", EMPTY, basic=ANN)
    sentence = "no upstream store is configured: data cannot be written"
    assert (answer.status, answer.error) == (501, sentence)
    assert server.request("POST", f"{WRITE}?db=b", EMPTY, basic=ANN).status == 403


@needs_prometheus
def test_a_store_that_confines_no_tenant_is_named_at_the_start_and_in_a_check(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with Prometheus(tmp_path) as prometheus:
        sentence = (
            f"upstream 'prometheus': {prometheus.url} is Prometheus itself, which has no tenants:"
            " READ on one database reads all"
        )
        table = upstream("prometheus", urls=[prometheus.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        poll_until(lambda: sentence in server.log(), "no warning")
        gateway = {"upstream": prometheus.url, "protocol": "prometheus"}
        assert asyncio.run(check_connections(read_gateway_settings(gateway))) == [sentence]


@pytest.mark.parametrize("protocol", ["loki", "mimir", "prometheus"])
def test_a_store_that_answers_two_tenants_alike_is_named(protocol: str) -> None:
    with recorder() as store:
        tenants: set[str | None] = set()

        def alike(heard: object) -> tuple[int, dict[str, str], bytes]:
            tenants.add(getattr(heard, "tenant", None))
            if "walreplay" in getattr(heard, "path", ""):
                return 404, {}, b""
            return 200, {}, b'{"status":"success","data":["job"]}'

        store.reply = alike
        settings = read_gateway_settings({"upstream": store.url, "protocol": protocol})
        (problem,) = asyncio.run(check_connections(settings))
        assert problem.endswith("answers every tenant alike: READ on one database reads all")
        assert len([one for one in tenants if one]) >= 2

        def apart(heard: object) -> tuple[int, dict[str, str], bytes]:
            status, headers, _ = alike(heard)
            return status, headers, b'{"status":"success","data":[]}'

        store.reply = apart
        assert asyncio.run(check_connections(settings)) == []


def test_the_store_receives_the_body_and_nothing_else_of_the_client(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    body = compress(b"\x0a\x00" * 100)
    shown = b'{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],'
    shown += b'"values":[["a"]]}]}]}'
    with recorder() as store:
        store.reply = lambda heard: (204, {}, b"") if heard.path == WRITE else (200, {}, shown)
        server = configured(serve, tmp_path, upstream("influxdb1", urls=[store.url]))
        server.bootstrap("CREATE DATABASE a; CREATE USER ann WITH PASSWORD 'Ann-pw-1'")
        server.query("GRANT WRITE ON a TO ann")
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
            "X-Scope-OrgID": "b",
            "X-Auth-User": "root",
            "Cookie": "c=1",
        }
        query = "db=a&rp=two&precision=s&consistency=all&db=b&u=ann&p=Ann-pw-1&q=DROP"
        assert server.request("POST", f"{WRITE}?{query}", body, headers).status == 204
        heard = store.last
        assert heard.body == body
        assert heard.target == f"{WRITE}?db=a&rp=two&precision=s&consistency=all"
        sent = {name.lower(): value for name, value in heard.headers}
        assert sent.keys() == {
            *("host", "content-type", "content-encoding", "content-length", "user-agent"),
            *("x-prometheus-remote-write-version", "x-request-id"),
        }
        assert sent["content-type"] == "application/x-protobuf"  # a form could hold parameters
        assert sent["content-encoding"] == "snappy"
        page = server.request("GET", "/metrics").body.decode()
        assert f'route="{WRITE}",status="204"' in page
