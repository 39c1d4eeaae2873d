"""auth-gateway's features and options, G1 to G32, each with the test that is named after it.

docs/gateway.md lists the intended differences. For example, auth-gateway accepts tokens signed with
an empty key, and forwards tokens to the upstream store.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.servers import ROOT, Server
from support.tenant_fixtures import (
    LOKI_PUSH,
    LOKI_QUERY,
    PUSH,
    QUERY,
    SECRET,
    Parts,
    ask,
    bearer,
    seed_flags,
    tenant,
)


def test_g1_one_entry_point_for_mimir_and_loki(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    jwt = {"secret": SECRET}
    tables = upstream("mimir", urls=[parts["ruler"].url], jwt=jwt)
    tables += upstream("loki", urls=[parts["loki"].url], mount="/loki-gw", jwt=jwt)
    server = configured(serve, tmp_path, tables)
    assert ask(server, QUERY, tenant()) == ask(server, "/loki-gw" + LOKI_QUERY, tenant()) == 200
    assert parts["ruler"].last.tenant == parts["loki"].last.tenant == "team-a"


def test_g2_prometheus_and_grafana_log_in_with_a_token(mimir: Server, parts: Parts) -> None:
    assert ask(mimir, PUSH, tenant(), "POST") == 200
    assert parts["distributor"].last.tenant == "team-a"
    assert ask(mimir, QUERY) == ask(mimir, QUERY, tenant()[:-4] + "AAAA") == 401


def test_g3_prometheus_reads_its_figures(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    table = upstream("mimir", urls=[parts["ruler"].url], jwt={"secret": SECRET})
    server = configured(serve, tmp_path, table, gateway="cortex-metric-names = true")
    for text in (tenant(), tenant(), "", "nonsense", tenant(7)):
        ask(server, QUERY, text)
    page = server.request("GET", "/metrics").body.decode()
    for line in (
        'cortex_gateway_succeeded_authentications_total{tenant="team-a"} 2.0',
        'cortex_gateway_failed_authentications_total{reason="no_token"} 1.0',
        'cortex_gateway_failed_authentications_total{reason="token_not_valid"} 1.0',
        'cortex_gateway_failed_authentications_total{reason="tenant_id_not_valid"} 1.0',
        'cortex_gateway_proxy_requests_total{targetname="query-frontend"} 2.0',
        'headgate_authentications_total{method="tenant",outcome="accepted"} 2.0',
    ):
        assert line in page, line


def test_g4_traces(mimir: Server, parts: Parts) -> None:
    """Without a collector the trace context is forwarded unchanged. test_tracing.py tests spans."""
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert ask(mimir, QUERY, tenant(), **context) == 200
    assert parts["query-frontend"].last.all("traceparent") == [context["traceparent"]]


def test_g5_the_tenant_is_set_here_however_it_is_smuggled(mimir: Server, parts: Parts) -> None:
    for smuggled in (
        {"X_Scope_OrgID": "team-b"},
        {"Connection": "X-Scope-OrgID, close"},
        {"X.Scope.OrgID": "team-b"},
    ):
        answer = mimir.request("GET", QUERY, None, smuggled | bearer(tenant()))
        assert answer.status == 200
        assert parts["query-frontend"].last.tenant == "team-a"
        names = [name.lower() for name, _ in parts["query-frontend"].last.headers]
        assert not {"x_scope_orgid", "x.scope.orgid", "connection"} & set(names)
    assert ask(mimir, QUERY, tenant(), X_Scope_OrgID="team-b") == 403


def test_g6_no_nginx_per_tenant(mimir: Server, parts: Parts) -> None:
    for name in ("team-a", "team-b", "team-c"):
        assert ask(mimir, PUSH, tenant(name), "POST") == 200
        assert parts["distributor"].last.tenant == name


COMPONENTS = [
    ("g7", "mimir", "POST", PUSH, "distributor"),
    ("g8", "mimir", "POST", QUERY, "query-frontend"),
    ("g9", "mimir", "GET", "/prometheus/config/v1/rules/ns", "ruler"),
    ("g10", "mimir", "GET", "/alertmanager/", "alertmanager"),
    ("g10", "mimir", "GET", "/api/v1/alerts", "alertmanager"),
    ("g11", "loki", "POST", LOKI_PUSH, "distributor"),
    ("g11", "loki", "POST", "/otlp/v1/logs", "distributor"),
    ("g12", "loki", "GET", "/loki/api/v1/query_range", "query-frontend"),
    ("g13", "loki", "GET", "/loki/api/v1/rules", "ruler"),
    ("g14", "loki", "GET", "/loki/api/v1/tail", "querier"),
]


@pytest.mark.parametrize("protocol", ["mimir", "loki"])
def test_g7_to_g14_each_component_has_its_flag(
    serve: Callable[..., Server], parts: Parts, protocol: str
) -> None:
    server = serve(*seed_flags(parts, protocol))
    for _, one, method, path, part in COMPONENTS:
        if one == protocol:
            parts[part].heard.clear()
            assert ask(server, path, tenant(), method) == 200, path
            assert len(parts[part].heard) == 1, path


def test_g7_a_component_that_is_not_there_is_404(
    serve: Callable[..., Server], parts: Parts
) -> None:
    flags = [f for f in seed_flags(parts, "mimir") if "distributor" not in f]
    server = serve(*flags)
    answer = server.request("POST", PUSH, b"x", bearer(tenant()))
    assert answer.status == 404 and "no distributor of the upstream store" in answer.error
    assert ask(server, QUERY, tenant()) == 200


def test_g28_errors_say_which_and_ask_for_a_login(mimir: Server) -> None:
    answer = mimir.request("GET", QUERY, None, bearer("nonsense"))
    assert (answer.status, answer.json["errorType"]) == (401, "unauthorized")
    assert 'Bearer realm="InfluxDB"' in answer.headers.get_all("WWW-Authenticate", [])
    answer = mimir.request("GET", "/distributor/ring", None, bearer(tenant()))
    assert (answer.status, answer.json["errorType"]) == (403, "forbidden")


def test_g29_is_it_well(mimir: Server) -> None:
    assert mimir.request("GET", "/health").json["status"] == "pass"
    assert mimir.request("GET", "/ping").status == 204


def test_g30_all_user_stats_are_for_administrators(mimir: Server, parts: Parts) -> None:
    mimir.bootstrap(TWO)
    assert mimir.request("GET", "/all_user_stats").status == 401
    assert ask(mimir, "/all_user_stats", tenant()) == 403
    assert mimir.request("GET", "/all_user_stats", basic=ANN).status == 403
    assert mimir.request("GET", "/all_user_stats", basic=ROOT).status == 200
    assert parts["distributor"].last.tenant is None


def test_g32_by_the_environment_alone(serve: Callable[..., Server], parts: Parts) -> None:
    server = serve(
        HEADGATE_GATEWAY_UPSTREAM=parts["ruler"].url, HEADGATE_GATEWAY_PROTOCOL="mimir"
    ).bootstrap(TWO)
    assert server.request("GET", QUERY, basic=ANN).status == 200
    assert parts["ruler"].last.tenant == "a"


def test_users_and_grants_work_beside_tokens(mimir: Server, parts: Parts) -> None:
    mimir.bootstrap(TWO)
    assert mimir.request("POST", PUSH, b"x", basic=ANN).status == 200
    assert parts["distributor"].last.tenant == "a"
    assert ask(mimir, PUSH, tenant(), "POST") == 200
    # A token is not a user, so it cannot manage users.
    assert ask(mimir, "/query?q=SHOW+USERS", tenant()) == 403
    whoami = mimir.request("GET", "/api/whoami", None, bearer(tenant()))
    assert whoami.status == 401
