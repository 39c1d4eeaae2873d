"""Mimir, Loki, Prometheus, Pyroscope behind Headgate: the component and tenant of each request."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.gateway.route_table import load_route_table
from headgate_server.upstream.adapters import ADAPTERS
from headgate_server.upstream.tenant_store import TenantStoreAdapter
from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.recorder_upstream import Recorder, recorder
from support.servers import ROOT, Server

PARTS = ("distributor", "query-frontend", "querier", "ruler", "alertmanager", "compactor")
World = tuple[Server, dict[str, Recorder]]


@pytest.fixture
def parts() -> Iterator[dict[str, Recorder]]:
    with ExitStack() as stack:
        yield {part: stack.enter_context(recorder(part)) for part in PARTS}


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    serve: Callable[..., Server],
    tmp_path: Path,
    parts: dict[str, Recorder],
) -> World:
    urls = {part: record.url for part, record in parts.items()}
    options = {"manage-needs": "all"}
    table = upstream(request.param, components=urls, **options)
    return configured(serve, tmp_path, table).bootstrap(TWO), parts


def heard(parts: dict[str, Recorder]) -> list[str]:
    return [part for part, record in parts.items() if record.heard]


# Protocol, method, path, required privilege, and the component that answers.
ROUTES = [
    ("mimir", "POST", "/api/v1/push", "WRITE", "distributor"),
    ("mimir", "POST", "/api/prom/push", "WRITE", "distributor"),
    ("mimir", "POST", "/otlp/v1/metrics", "WRITE", "distributor"),
    ("mimir", "POST", "/api/v1/push/influx/write", "WRITE", "distributor"),
    ("mimir", "GET", "/prometheus/api/v1/query", "READ", "query-frontend"),
    ("mimir", "POST", "/prometheus/api/v1/query_range", "READ", "query-frontend"),
    ("mimir", "GET", "/prometheus/api/v1/labels", "READ", "query-frontend"),
    ("mimir", "GET", "/prometheus/api/v1/label/job/values", "READ", "query-frontend"),
    ("mimir", "POST", "/prometheus/api/v1/read", "READ", "query-frontend"),
    ("mimir", "GET", "/api/prom/api/v1/series", "READ", "query-frontend"),
    ("mimir", "GET", "/prometheus/api/v1/cardinality/label_names", "READ", "query-frontend"),
    ("mimir", "GET", "/api/v1/user_stats", "READ", "query-frontend"),
    ("mimir", "GET", "/prometheus/api/v1/rules", "READ", "ruler"),
    ("mimir", "GET", "/prometheus/config/v1/rules/ns", "READ", "ruler"),
    ("mimir", "POST", "/prometheus/config/v1/rules/ns", "ALL", "ruler"),
    ("mimir", "DELETE", "/prometheus/config/v1/rules/ns/group", "ALL", "ruler"),
    ("mimir", "GET", "/api/v1/alerts", "READ", "alertmanager"),
    ("mimir", "POST", "/api/v1/alerts", "ALL", "alertmanager"),
    ("mimir", "GET", "/alertmanager/", "READ", "alertmanager"),
    ("mimir", "POST", "/alertmanager/api/v2/silences", "ALL", "alertmanager"),
    ("mimir", "POST", "/api/v1/upload/block/x/start", "ALL", "compactor"),
    ("mimir", "GET", "/distributor/ring", "ADMIN", "distributor"),
    ("mimir", "GET", "/all_user_stats", "ADMIN", "distributor"),
    ("mimir", "GET", "/multitenant_alertmanager/status", "ADMIN", "alertmanager"),
    ("mimir", "GET", "/config", "ADMIN", "query-frontend"),
    ("mimir", "GET", "/ruler/ring", "ADMIN", "ruler"),
    ("mimir", "POST", "/compactor/ring", "ADMIN", "compactor"),
    ("mimir", "GET", "/debug/pprof/", None, ""),
    ("mimir", "GET", "/api/v1/push", None, ""),
    ("mimir", "GET", "/prometheus/api/v1/query/", None, ""),
    ("loki", "POST", "/loki/api/v1/push", "WRITE", "distributor"),
    ("loki", "POST", "/otlp/v1/logs", "WRITE", "distributor"),
    ("loki", "GET", "/loki/api/v1/query_range", "READ", "query-frontend"),
    ("loki", "POST", "/loki/api/v1/series", "READ", "query-frontend"),
    ("loki", "GET", "/loki/api/v1/label/app/values", "READ", "query-frontend"),
    ("loki", "GET", "/loki/api/v1/tail", "READ", "querier"),
    ("loki", "GET", "/loki/api/v1/rules", "READ", "ruler"),
    ("loki", "GET", "/loki/api/v1/rules/ns/group", "READ", "ruler"),
    ("loki", "POST", "/loki/api/v1/rules/ns", "ALL", "ruler"),
    ("loki", "GET", "/loki/api/v1/delete", "READ", "compactor"),
    ("loki", "POST", "/loki/api/v1/delete", "ALL", "compactor"),
    ("loki", "POST", "/flush", "ADMIN", "distributor"),
    ("loki", "GET", "/loki/api/v1/status/buildinfo", "READ", "query-frontend"),
    ("loki", "GET", "/ruler/ring", "ADMIN", "ruler"),
    ("loki", "GET", "/config", "ADMIN", "query-frontend"),
    ("loki", "POST", "/compactor/ring", "ADMIN", "compactor"),
    ("loki", "GET", "/loki/api/v1/nope", None, ""),
    ("prometheus", "POST", "/api/v1/write", "WRITE", "distributor"),
    ("prometheus", "GET", "/api/v1/query", "READ", "query-frontend"),
    ("prometheus", "GET", "/api/v1/metadata", "READ", "query-frontend"),
    ("prometheus", "POST", "/api/v1/read", "READ", "query-frontend"),
    ("prometheus", "GET", "/api/v1/rules", "READ", "ruler"),
    ("prometheus", "POST", "/api/v1/admin/tsdb/snapshot", "ADMIN", "query-frontend"),
    ("pyroscope", "POST", "/ingest", "WRITE", "distributor"),
    ("pyroscope", "GET", "/pyroscope/render", "READ", "query-frontend"),
    ("pyroscope", "POST", "/querier.v1.QuerierService/Series", "READ", "query-frontend"),
    ("pyroscope", "POST", "/settings.v1.SettingsService/Set", "ALL", "query-frontend"),
    ("pyroscope", "GET", "/config", "ADMIN", "query-frontend"),
]
TENANT_STORES = [kind for kind, it in ADAPTERS.items() if issubclass(it, TenantStoreAdapter)]


@pytest.mark.parametrize("kind", TENANT_STORES)
def test_each_route_of_a_store_with_tenants_has_a_row_here(kind: str) -> None:
    settings = UpstreamSettings("store", kind, urls=("http://store",))
    table, file = load_route_table(settings), files("headgate_server.gateway") / "routes"
    rows = [row for row in ROUTES if row[0] == kind and row[3] is not None]
    matches = [table.match(method, path) for _, method, path, _, _ in rows]
    covered = {match[0] for match in matches if match is not None}
    routes = tomllib.loads((file / f"{kind}.toml").read_text("utf-8"))["route"]
    assert [route for route in routes if covered.isdisjoint(route["paths"])] == []


@pytest.mark.slow
@pytest.mark.parametrize("world", TENANT_STORES, indirect=True)
def test_each_route_needs_what_it_needs_and_reaches_its_part(
    world: World, request: pytest.FixtureRequest
) -> None:
    server, parts = world
    server.query(
        "CREATE USER reader WITH PASSWORD 'Reader-1'; GRANT READ ON a TO reader;"
        "CREATE USER writer WITH PASSWORD 'Writer-1'; GRANT WRITE ON a TO writer"
    )
    logins = {"READ": ("reader", "Reader-1"), "WRITE": ("writer", "Writer-1"), "ALL": ANN}
    protocol = request.node.callspec.params["world"]
    for named, method, path, needed, part in ROUTES:
        if named != protocol:
            continue
        for record in parts.values():
            record.heard.clear()
        for privilege, login in logins.items():
            may = (
                needed is not None
                and needed != "ADMIN"
                and (needed, privilege)
                in (
                    *(("READ", "READ"), ("READ", "ALL"), ("WRITE", "WRITE"), ("WRITE", "ALL")),
                    ("ALL", "ALL"),
                )
            )
            answer = server.request(method, path, b"", basic=login)
            if needed is None:
                assert answer.status in (404, 405), (path, answer.status)
            else:
                # 400 if no database with that privilege can be inferred for the user.
                assert answer.status == (200 if may else answer.status), (path, answer.body)
                assert may or answer.status in (400, 403), (path, login, answer.status)
        named_it = {"X-Scope-OrgID": "a"}
        answer = server.request(method, path, b"", named_it, ROOT)
        assert (answer.status == 200) == (needed is not None), (path, answer.body)
        assert heard(parts) == ([part] if needed is not None else []), path
        for record in parts.values():
            assert {one.tenant for one in record.heard} <= {"a"}, path


@pytest.mark.slow
@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_a_tenant_is_wished_for_and_never_taken(world: World) -> None:
    server, parts = world
    server.query("GRANT READ ON b TO ann")
    front = parts["query-frontend"]
    query = "/prometheus/api/v1/query"

    def asked(path: str = query, **headers: str) -> tuple[int, str | None]:
        front.heard.clear()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        status = server.request("GET", path, None, sent, ANN).status
        return status, front.last.tenant if front.heard else None

    assert asked() == (400, None)  # two databases, none of them named
    assert asked(X_Scope_OrgID="a") == (200, "a")
    assert asked(X_Scope_OrgID="b") == (200, "b")
    assert asked(X_Scope_OrgID="a|b") == (200, "a|b")
    assert asked(X_Scope_OrgID="c") == (403, None)
    assert asked(X_Scope_OrgID="a|c") == (403, None)
    assert asked("/db/b" + query) == (200, "b")
    assert asked("/db/b" + query, X_Scope_OrgID="a") == (400, None)
    assert front.heard == []
    assert asked("/db/c" + query) == (403, None)
    assert server.request("GET", "/db/a" + query, basic=BOB).status == 403
    # A write is for one database.
    push = server.request("POST", "/api/v1/push", b"x", {"X-Scope-OrgID": "a|b"}, ANN)
    assert push.status == 400
    # An administrator is told that a database does not exist.
    missing = server.request("GET", "/db/nope" + query, basic=ROOT)
    assert missing.status == 404 and b"database not found" in missing.body


TRICKS = [
    [("X-Scope-OrgID", "b")],
    [("X_Scope_OrgID", "b")],
    [("x.scope.orgid", "b")],
    [("X_SCOPE_ORGID", "b"), ("X-Auth-User", "root")],
    [("Connection", "X-Scope-OrgID")],
    [("Connection", "keep-alive, x-scope-orgid, X-Auth-User")],
    [("X-Auth-User", "root"), ("X-Auth-Database", "b")],
    [("X-Forwarded-For", "10.0.0.1"), ("Forwarded", "for=10.0.0.1")],
    [("Authorization ", "x")],
    [("X-Scope-OrgID", "a"), ("X-Scope-OrgID", "b")],
    [("X-Scope-OrgID", "a,b")],
    [("X-Scope-OrgID", "a"), ("X_Scope_OrgID", "b")],
    [("Host", "elsewhere"), ("X-Forwarded-Host", "elsewhere")],
    [("TE", "trailers"), ("Upgrade", "h2c"), ("Connection", "upgrade")],
    [("Cookie", "tenant=b")],
    [("X-Original-URI", "/db/b/"), ("X-HTTP-Method-Override", "DELETE")],
]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_no_header_makes_a_user_another_tenant(world: World) -> None:
    server, parts = world
    front = parts["query-frontend"]
    for trick in TRICKS:
        front.heard.clear()
        answer = server.request("GET", "/prometheus/api/v1/query", None, trick, ANN)
        assert answer.status in (200, 400, 403), trick
        assert len(front.heard) == (answer.status == 200)
        for one in front.heard:
            assert one.tenant == "a", trick
            names = [name.lower().replace("_", "-").replace(".", "-") for name, _ in one.headers]
            assert names.count("x-scope-orgid") == 1, trick
            assert one.all("X-Auth-User") == ["ann"]
            ended = {"authorization", "cookie", "forwarded", "x-original-uri", "te", "upgrade"}
            assert not ended & set(names), trick
            assert one.all("Host") == [front.url.removeprefix("http://")]
            assert one.all("X-Forwarded-For") == ["127.0.0.1"]


@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_paths_that_can_be_read_in_two_ways_are_refused(world: World) -> None:
    server, parts = world
    for path in (
        *("//prometheus/api/v1/query", "/prometheus//api/v1/query", "/./prometheus/api/v1/query"),
        *("/prometheus/api/v1/x/../query", "/prometheus/api/v1/%2e%2e/query", "/db/a%2fb/x"),
        *("/prometheus/api/v1/query%00", "/prometheus%2fapi/v1/query", "/db/a/..%2f/x"),
        *("/prometheus/api/v1\\query", "/prometheus/api/v1/%71uery", "/PROMETHEUS/api/v1/query"),
        *("/prometheus/api/v1/query%20", "/prometheus/api/v1/query;x", "/db/%252e/x"),
        *("/db//prometheus/api/v1/query", "/db/a", "/prometheus/api/v1/label/%2e%2e/values"),
    ):
        answer = server.request("GET", path, basic=ROOT)
        assert answer.status in (400, 404), (path, answer.status)
    assert heard(parts) == []


@pytest.mark.slow
@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_the_request_arrives_as_it_was_sent(world: World) -> None:
    server, parts = world
    body = bytes(range(256)) * 1000
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
        "User-Agent": "Prometheus/2.53",
    }
    assert server.request("POST", "/api/v1/push", body, headers, ANN).status == 200
    pushed = parts["distributor"].last
    assert pushed.body == body and pushed.all("Content-Length") == ["256000"]
    for name, value in headers.items():
        assert pushed.all(name) == [value]
    query = "query=up%7Ba%3D%22b+c%22%7D&time=1;2&u=&x=%zz&p=secret-1"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/prometheus/api/v1/query?{query}"
    assert server.request("POST", path, b"query=1", form, ANN).status == 200
    asked = parts["query-frontend"].last
    assert asked.target == "/prometheus/api/v1/query?query=up%7Ba%3D%22b+c%22%7D&time=1;2&x=%zz"
    assert asked.body == b"query=1"


@pytest.mark.slow
@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_the_answer_arrives_as_it_was_given(world: World) -> None:
    server, parts = world
    content = bytes(range(256)) * 4000
    parts["query-frontend"].reply = lambda heard: (
        422,
        {
            "Content-Type": "application/json",
            "X-Own": "yes",
            "Set-Cookie": "a=b",
            "Connection": "X-Hop",
            "X-Hop": "no",
            "Retry-After": "7",
        },
        content,
    )
    answer = server.request("GET", "/prometheus/api/v1/query", basic=ANN)
    assert (answer.status, answer.body) == (422, content)
    assert answer.headers["X-Own"] == "yes" and answer.headers["Retry-After"] == "7"
    assert answer.headers.get_all("Content-Length") == [str(len(content))]
    for gone in ("Set-Cookie", "X-Hop", "Server"):
        assert gone not in answer.headers
    assert len(answer.headers.get_all("Date") or []) == 1


@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_no_redirect_leads_past_headgate(world: World) -> None:
    server, parts = world
    front = parts["query-frontend"]
    front.reply = lambda heard: (302, {"Location": "http://10.0.0.1:9009/x"}, b"")
    assert server.request("GET", "/prometheus/api/v1/query", basic=ANN).status == 502
    front.reply = lambda heard: (302, {"Location": "//10.0.0.1/x"}, b"")
    answer = server.request("GET", "/prometheus/api/v1/query", basic=ANN)
    assert "Location" not in answer.headers
    front.reply = lambda heard: (302, {"Location": "/prometheus/api/v1/labels"}, b"")
    answer = server.request("GET", "/prometheus/api/v1/query", basic=ANN)
    assert answer.headers["Location"] == "/prometheus/api/v1/labels"


@pytest.mark.parametrize("world", ["mimir"], indirect=True)
def test_refusals_are_such_as_prometheus_clients_know(world: World) -> None:
    server, _ = world
    query = "/prometheus/api/v1/query"
    nobody = server.request("GET", query)
    assert nobody.status == 401
    assert nobody.headers.get_all("WWW-Authenticate") == [
        'Basic realm="InfluxDB"',
        'Bearer realm="InfluxDB"',
    ]
    assert nobody.json == {
        "status": "error",
        "errorType": "unauthorized",
        "error": "unable to parse authentication credentials",
    }
    foreign = server.request("GET", query, None, {"X-Scope-OrgID": "b"}, ANN)
    assert foreign.status == 403
    assert foreign.json["error"] == "ann is not authorized: requires READ on b"
    wrong = server.request("PUT", query, b"", basic=ANN)
    assert wrong.status == 405 and wrong.headers["Allow"] == "GET, POST"


@pytest.mark.slow
def test_reading_all_tenants_of_a_user_together(
    serve: Callable[..., Server], tmp_path: Path, parts: dict[str, Recorder]
) -> None:
    urls = {part: record.url for part, record in parts.items()}
    table = upstream("loki", components=urls, federation=True, tenants={"b": "team-b"})
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    server.query("GRANT READ ON b TO ann")
    assert server.request("GET", "/loki/api/v1/query", basic=ANN).status == 200
    assert parts["query-frontend"].last.tenant == "a|team-b"
    assert server.request("POST", "/loki/api/v1/push", b"{}", basic=ANN).status == 200
    assert parts["distributor"].last.tenant == "a"  # the only database on which Ann has WRITE
    for name in ("__mimir_cluster", "a b", "..", "x" * 151):
        server.query(f'CREATE DATABASE "{name}"; GRANT ALL ON "{name}" TO bob')
    for name in ("a%20b", "__mimir_cluster", "x" * 151):
        answer = server.request("GET", f"/db/{name}/loki/api/v1/query", basic=BOB)
        assert answer.status == 400, answer.body
        assert b"an invalid tenant name" in answer.body


def test_stores_by_mount_and_by_host(
    serve: Callable[..., Server], tmp_path: Path, parts: dict[str, Recorder]
) -> None:
    tables = (
        upstream("mimir", urls=[parts["ruler"].url], mount="/mimir")
        + upstream("loki", urls=[parts["querier"].url], hosts=["loki.example.com"])
        + upstream("pyroscope", urls=[parts["compactor"].url])
    )
    server = configured(serve, tmp_path, tables).bootstrap(TWO)
    assert server.request("GET", "/mimir/prometheus/api/v1/query", basic=ANN).status == 200
    assert parts["ruler"].last.target == "/prometheus/api/v1/query"
    host = {"Host": "LOKI.example.com:3100"}
    assert server.request("GET", "/loki/api/v1/query", None, host, ANN).status == 200
    assert server.request("GET", "/loki/api/v1/query", basic=ANN).status == 404
    assert server.request("GET", "/pyroscope/render", basic=ANN).status == 200
    assert server.request("GET", "/pyroscope/render", None, host, ANN).status == 404
    two = [("Host", "a"), ("Host", "loki.example.com")]
    assert server.request("GET", "/loki/api/v1/query", None, two, ANN).status == 400
    # InfluxQL for users and grants is still served at the root path.
    assert server.query("SHOW DATABASES", ANN).rows() == [["a"]]
    assert "no upstream store" in server.query("SELECT v FROM cpu", ANN, db="a").error


def test_own_routes_come_before_those_of_the_table(
    serve: Callable[..., Server], tmp_path: Path, parts: dict[str, Recorder]
) -> None:
    table = upstream("mimir", urls=[parts["ruler"].url]) + (
        "[[gateway.upstream.routes]]\n"
        'methods = ["GET"]\npaths = ["/own/**"]\nprivilege = "WRITE"\n'
        "[[gateway.upstream.routes]]\n"
        'methods = ["GET"]\npaths = ["/prometheus/api/v1/query"]\nprivilege = "ADMIN"\n'
    )
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    assert server.request("GET", "/own/x/y", basic=ANN).status == 200
    assert server.request("GET", "/own", basic=ANN).status == 200
    assert server.request("GET", "/prometheus/api/v1/query", basic=ANN).status == 403
    assert server.request("GET", "/prometheus/api/v1/labels", basic=ANN).status == 200
