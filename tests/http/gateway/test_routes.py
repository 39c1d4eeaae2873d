"""The route table: which paths are forwarded, and the names of routes in log and metrics.

Forwarded requests and `/auth` requests of other proxies have the same routes.

"""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate_server.api.router import ROUTES
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.gateway.local_paths import ENDPOINTS, Requirement
from headgate_server.gateway.route_table import load_route_table
from headgate_server.telemetry.metrics import Metrics
from headgate_server.upstream.adapters import ADAPTERS
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.recorder_upstream import recorder
from support.servers import ROOT, Answer, Server

QUERY = {"db": "a", "bucket": "a/x", "q": "SHOW MEASUREMENTS"}
INFLUX = ("influxdb1", "influxdb2", "influxdb3")


def paths(protocol: str) -> Iterator[tuple[str, str, str]]:
    """Returns method, path and key of each route of an upstream store of *protocol*."""
    for key, methods in ROUTES.items():
        for method in methods:
            yield method, key.replace("*", "x"), key
    if protocol not in INFLUX:
        table = load_route_table(UpstreamSettings("x", protocol))
        for key, routes in table._exact.items():
            for method in {one for route in routes for one in route.methods}:
                yield method, key, key
        for _, key, route in table._patterns:
            for method in route.methods:
                yield method, key.replace("**", "x").replace("*", "x"), key


def asked(server: Server, method: str, path: str, login: tuple[str, str] | None = ROOT) -> Answer:
    headers = {"X-Original-URI": path, "X-Original-Method": method, "X-Scope-OrgID": "a"}
    return server.request("GET", "/auth/nginx/asked", None, headers, login)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ADAPTERS)
def test_what_is_served_is_what_another_proxy_is_let_serve(
    serve: Callable[..., Server], tmp_path: Path, protocol: str
) -> None:
    unread = {"overwrite_label": True, "max_labels": 0}
    own = unread if protocol == "victoriametrics" else {}
    with recorder() as store:
        store.reply = lambda heard: (200, {}, b'{"results":[{"statement_id":0}]}')
        tables = upstream(protocol, name="served", urls=[store.url], **own)
        tables += upstream(protocol, name="asked", mount="/asked", **own)
        server = configured(serve, tmp_path, tables)
        server.query("CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", None)
        server.query("CREATE DATABASE a")
        seen = 0
        for method, path, key in paths(protocol):
            if method == "OPTIONS":
                continue
            target = f"{path}?{urlencode(QUERY)}"
            served = server.request(method, target, b"", {"X-Scope-OrgID": "a"}, ROOT).status < 400
            right = ENDPOINTS[key].requirement if key in ENDPOINTS else None
            # Headgate itself serves these paths.
            ours = right is Requirement.LOCAL_ONLY or (
                right is Requirement.QUERY and protocol not in INFLUX
            )
            answer = asked(server, method, target)
            assert answer.status == (200 if served and not ours else 403), (method, path)
            seen += served
        assert seen > 5


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_the_paths_that_need_no_login_need_none_when_asked(
    serve: Callable[..., Server], tmp_path: Path, protocol: str
) -> None:
    server = configured(serve, tmp_path, upstream(protocol, name="asked")).bootstrap()
    for path in ("/ping", "/status", "/health"):
        for method in ("GET", "HEAD"):
            answer = asked(server, method, path, None)
            assert (answer.status, answer.headers["X-Auth-User"]) == (200, ""), path
    guarded = configured(
        lambda *flags: serve(*flags, HEADGATE_HTTP_PING_AUTH_ENABLED="true"),
        tmp_path,
        upstream(protocol, name="asked"),
    ).bootstrap()
    assert asked(guarded, "GET", "/ping", None).status == 401
    assert asked(guarded, "GET", "/ping").headers["X-Auth-User"] == "root"


@pytest.mark.slow
def test_auth_is_there_only_where_something_is_to_be_asked_about(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        served = upstream("mimir", name="m", urls=[store.url])
        answer = {"X-Original-URI": "/ping", "X-Original-Method": "GET"}
        for tables, gateway, status in [
            (served, "", 404),
            (served, 'trusted-proxies = ["127.0.0.0/8"]', 200),
            (served, 'trusted-proxies = ["10.0.0.0/8"]', 403),
            (served + upstream("mimir", name="n", mount="/n"), "", 200),
        ]:
            server = configured(serve, tmp_path, tables, gateway=gateway).bootstrap()
            assert server.request("GET", "/auth/nginx/m", None, answer).status == status
        assert store.heard == []


def test_log_and_figures_name_the_route_and_not_the_path(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        tables = upstream("mimir", name="m", urls=[store.url], mount="/m")
        tables += upstream("loki", name="l", mount="/l")
        server = configured(serve, tmp_path, tables).bootstrap(TWO)
        for label in ("one", "two", "three"):
            path = f"/m/db/a/prometheus/api/v1/label/{label}/values"
            assert server.request("GET", path, basic=ANN).status == 200
        assert server.request("GET", "/m/nothing/here", basic=ANN).status == 404
        headers = {"X-Original-URI": "/loki/api/v1/label/x/values", "X-Original-Method": "GET"}
        assert server.request("GET", "/auth/nginx/l", None, headers, ANN).status == 200
        page = server.request("GET", "/metrics").body.decode()
        pattern = "/prometheus/api/v1/label/*/values"
        line = (
            f'headgate_http_requests_total{{method="GET",route="gateway m {pattern}",status="200"}}'
        )
        assert f"{line} 3.0" in page
        assert 'route="gateway m",status="404"' in page
        assert 'route="/auth l /loki/api/v1/label/*/values",status="200"' in page
        assert "/one/" not in page and "nothing" not in page
        log = server.log()
        assert f'route="gateway m {pattern}"' in log and "nothing" not in log


@pytest.mark.slow
def test_a_missing_privilege_is_no_missing_database(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with recorder() as store:
        places = {
            "loki": ("/loki/api/v1/push", "/loki/api/v1/labels"),
            "mimir": ("/api/v1/push", "/prometheus/api/v1/labels"),
            "prometheus": ("/api/v1/write", "/api/v1/labels"),
            "pyroscope": ("/ingest", "/pyroscope/labels"),
            "victoriametrics": ("/api/v1/import", "/api/v1/labels"),
        }
        tables = "".join(upstream(one, urls=[store.url], mount=f"/{one}") for one in places)
        server = configured(serve, tmp_path, tables).bootstrap(
            "CREATE DATABASE shop; CREATE DATABASE bank;"
            "CREATE USER r WITH PASSWORD 'R-pw-1'; GRANT READ ON shop TO r;"
            "CREATE USER w WITH PASSWORD 'W-pw-1'; GRANT WRITE ON shop TO w;"
            "CREATE USER rr WITH PASSWORD 'Rr-pw-1'; GRANT READ ON shop TO rr;"
            "GRANT READ ON bank TO rr;"
            "CREATE USER rw WITH PASSWORD 'Rw-pw-1'; GRANT ALL ON shop TO rw;"
            "GRANT ALL ON bank TO rw"
        )
        for protocol, (push, labels) in places.items():
            for method, path, login, error in [
                ("POST", push, ("r", "R-pw-1"), "requires WRITE on shop"),
                ("GET", labels, ("w", "W-pw-1"), "requires READ on shop"),
                ("POST", push, ("rr", "Rr-pw-1"), "requires WRITE on a database"),
            ]:
                answer = server.request(method, f"/{protocol}{path}", b"", basic=login)
                assert (answer.status, error in answer.error) == (403, True), (protocol, login)
            for method, path in [("POST", push), ("GET", labels)]:
                answer = server.request(method, f"/{protocol}{path}", b"", basic=("rw", "Rw-pw-1"))
                assert (answer.status, "database is required" in answer.error) == (400, True)
        assert [heard for heard in store.heard if "label/db" not in heard.target] == []


@pytest.mark.parametrize(
    "path", ["/alertmanager/..;/all_user_stats", "/alertmanager/x;y=1/z", "/alertmanager/..%3B/x"]
)
def test_a_path_with_parameters_in_a_segment_is_refused(
    serve: Callable[..., Server], tmp_path: Path, path: str
) -> None:
    with recorder() as store:
        server = configured(serve, tmp_path, upstream("mimir", urls=[store.url])).bootstrap(TWO)
        answer = server.request("GET", path, basic=ANN)
        assert (answer.status, answer.error) == (400, "ambiguous path")
        assert store.heard == []


@pytest.mark.slow
def test_no_client_makes_labels_without_bound() -> None:
    metrics = Metrics()
    metrics.show_cortex_names()
    for tenants in ("b|a", "a|b", "a|b|c", "|".join(f"t{n}" for n in range(64)), "a"):
        metrics.count_forwarded(tenants, "querier")
    page = metrics.render("")[0].decode().splitlines()
    name = "cortex_gateway_succeeded_authentications_total"
    assert sorted(line for line in page if line.startswith(name)) == [
        f'{name}{{tenant="(several)"}} 2.0',
        f'{name}{{tenant="a"}} 1.0',
        f'{name}{{tenant="a|b"}} 2.0',
    ]
    for number in range(12_000):
        metrics.count_forwarded(f"t{number}", "querier")
    page = metrics.render("")[0].decode().splitlines()
    assert len([line for line in page if line.startswith(name)]) <= 10_002
