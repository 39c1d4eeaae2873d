"""/ping, /status, /health, /metrics, /openapi.json: statuses, bodies, required logins."""

from collections.abc import Callable

import pytest

from headgate_server.gateway.local_paths import ENDPOINTS, Requirement
from support.servers import ROOT, Server

OPEN = [
    ("GET", "/ping", 204, b""),
    ("HEAD", "/ping", 204, b""),
    ("GET", "/ping?verbose=true", 200, b'{"version":"1.8.10"}\n'),
    ("GET", "/status", 204, b""),
    ("HEAD", "/status", 204, b""),
    (
        "GET",
        "/health",
        200,
        b'{"checks":[],"message":"ready for queries and writes","name":"influxdb",'
        b'"status":"pass","version":"1.8.10"}\n',
    ),
    ("HEAD", "/health", 200, b""),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), OPEN)
def test_ping_and_health_need_no_login(
    server: Server, method: str, path: str, status: int, body: bytes
) -> None:
    answer = server.bootstrap().request(method, path)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["Content-Type"] == "application/json"


def test_ping_may_need_a_login(serve: Callable[..., Server]) -> None:
    server = serve()
    server.bootstrap()
    server.stop()
    server.environment["HEADGATE_HTTP_PING_AUTH_ENABLED"] = "true"
    server.start()
    for method, path, status, _ in [*OPEN, ("GET", "/metrics", 200, b"")]:
        assert server.request(method, path).status == 401, path
        assert server.request(method, path, basic=ROOT).status == status, path


def test_metrics_may_ask_for_a_login_of_their_own(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_METRICS_AUTH_ENABLED="true").bootstrap()
    assert server.request("GET", "/ping").status == 204
    assert server.request("GET", "/metrics").status == 401
    assert server.request("GET", "/metrics", basic=ROOT).status == 200


def test_a_server_without_its_store_is_not_well(server: Server) -> None:
    server.bootstrap()
    server.store.unlink()
    answer = server.request("GET", "/health")
    assert (answer.status, answer.json["status"]) == (503, "fail")
    assert "removed or replaced" in answer.json["message"]


@pytest.mark.parametrize(
    "path",
    ["/debug/vars", "/debug/pprof", "/debug/requests", "/metrics/", "/api", "/api/v2/orgs", "/"],
)
def test_what_is_not_ours_is_not_found(server: Server, path: str) -> None:
    answer = server.request("GET", path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert "Request-Id" not in answer.headers


def test_flux_is_refused_with_a_sentence(server: Server) -> None:
    server.bootstrap()
    assert server.request("POST", "/api/v2/query", b"").status == 401
    answer = server.request("POST", "/api/v2/query", b'from(bucket:"a")', basic=("root", "Toor-1"))
    sentence = "Flux query service disabled: Headgate authorizes InfluxQL only, use /query"
    assert (answer.status, answer.json) == (403, {"error": sentence})
    assert answer.headers["X-Influxdb-Error"] == sentence


def test_metrics_come_as_open_metrics_on_request(server: Server) -> None:
    kind = "application/openmetrics-text; version=1.0.0"
    answer = server.request("GET", "/metrics", None, {"Accept": kind + ", text/plain;q=0.5"})
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.body.endswith(b"# EOF\n") and b"_created" not in answer.body


def test_no_name_that_a_client_may_choose_is_in_the_metrics(server: Server) -> None:
    server.bootstrap(
        "CREATE USER \"very-special\" WITH PASSWORD 's3cret'; CREATE DATABASE special2"
    )
    server.query("SHOW DATABASES", ("very-special", "s3cret"), db="special2")
    server.request("GET", "/special3?special4", None, {"X-Request-Id": "special5"})
    text = server.request("GET", "/metrics").body
    assert b"special" not in text


def test_every_path_of_headgates_own_api_is_described(server: Server) -> None:
    description = server.request("GET", "/openapi.json")
    assert description.status == 200
    own = [path for path, it in ENDPOINTS.items()
           if path.startswith("/api/") and it.requirement is Requirement.LOCAL_ONLY]  # fmt: skip
    found = {path.replace("{session}", "{id}") for path in description.json["paths"]}
    wanted = {*own, "/api/v1/prom/write", "/api/v1/prom/read"}
    assert wanted - found == set(), "describe these paths in api/openapi.py"
    assert found - wanted == set(), "api/openapi.py describes paths that do not exist"
