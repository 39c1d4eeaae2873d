"""auth-gateway's features and options, G1 to G32, each with the test that is named after it.

What it does differently on purpose (it lets a token of an empty key in, sends tokens on, and more)
is in docs/gateway.md.
"""

import json
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tokens_made as made
from gateway_world import ANN, TWO, configured, upstream
from harness import ROOT, Server, poll_until
from headgate_server.cli import main as serve_main
from key_server import KeyServer, Said
from recorder_upstream import Recorder, recorder

SECRET = "a secret of more than thirty-two bytes, for Mimir"
QUERY, PUSH = "/prometheus/api/v1/query", "/api/v1/push"
LOKI_QUERY, LOKI_PUSH = "/loki/api/v1/query", "/loki/api/v1/push"
Parts = dict[str, Recorder]


@pytest.fixture
def parts() -> Iterator[Parts]:
    names = ("distributor", "query-frontend", "querier", "ruler", "alertmanager", "loki")
    with ExitStack() as stack:
        yield {name: stack.enter_context(recorder(name)) for name in names}


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return made.token(secret.encode(), claims, algorithm)


def tenant(name: Any = "team-a", **claims: Any) -> str:
    return token(**({"tenant_id": name, "exp": int(time.time()) + 60} | claims))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def jwks(pair: Any) -> bytes:
    return json.dumps({"keys": [made.jwk(pair)]}).encode()


def seed_flags(parts: Parts, protocol: str, *more: str) -> list[str]:
    """The flags of the original's README."""
    names = ["distributor", "query-frontend", "rules"]
    names.append("alertmanager" if protocol == "mimir" else "querier")
    address = {"rules": "ruler"}
    return [
        *(f"-gateway.{name}.address={parts[address.get(name, name)].url}" for name in names),
        f"-gateway.auth.jwt-secret={SECRET}",
        *more,
    ]


def ask(server: Server, path: str, text: str = "", method: str = "GET", **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"x" if method == "POST" else None
    return server.request(method, path, body, sent | (bearer(text) if text else {})).status


@pytest.fixture
def mimir(serve: Callable[..., Server], parts: Parts) -> Server:
    return serve(*seed_flags(parts, "mimir"))


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
    """Without a collector the context goes through; test_tracing.py has the spans."""
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


def test_g15_a_secret_signs_and_nothing_else_does(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    pair = made.key("gateway")
    with KeyServer([Said(body=jwks(pair))]) as keys:
        file = tmp_path / "secrets"
        file.write_text(f"{SECRET}\nanother secret, of the time before this one\n")
        jwt = {
            "secret-file": str(file),
            "jwk-set-url": keys.url,
            "allow-insecure-jwk-set-url": True,
        }
        table = upstream("mimir", urls=[parts["ruler"].url], jwt=jwt)
        server = configured(serve, tmp_path, table)
        claims: dict[str, Any] = {"tenant_id": "team-a", "exp": int(time.time()) + 60}
        old = token("another secret, of the time before this one", **claims)
        for good in (token(**claims), old, token(algorithm="HS512", **claims)):
            assert ask(server, QUERY, good) == 200
        assert ask(server, QUERY, made.token(pair, claims)) == 200
        public = made.pem(pair)
        header = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
        payload = token(**claims).split(".")[1]
        for bad in (
            token("", **claims),
            token(public, **claims),
            token("x", **claims),
            f"{header}.{payload}.",
        ):
            assert ask(server, QUERY, bad) == 401


def test_g16_tokens_in_other_headers(serve: Callable[..., Server], parts: Parts) -> None:
    flag = "-gateway.auth.jwt-extra-headers=X-Id-Token, X-Amzn-Oidc-Data"
    server = serve(*seed_flags(parts, "mimir", flag))
    front = parts["query-frontend"]
    for headers in (
        {"X-Id-Token": tenant()},
        {"X-Amzn-Oidc-Data": tenant()},
        {"X-Id-Token": f"Bearer {tenant()}"},
        {"X-Id-Token": tenant(), "Authorization": "Bearer nonsense"},
        {"Authorization": tenant()},
        {"Authorization": f"bearer {tenant()}"},
    ):
        assert server.request("GET", QUERY, None, headers).status == 200, list(headers)
        assert front.last.tenant == "team-a"
        names = {name.lower() for name, _ in front.last.headers}
        assert not {"x-id-token", "x-amzn-oidc-data", "authorization"} & names
    # The first that is there decides.
    wrong = {"X-Id-Token": "nonsense"} | bearer(tenant())
    assert server.request("GET", QUERY, None, wrong).status == 401


def test_g17_one_tenant_for_everybody_has_to_be_meant(
    serve: Callable[..., Server], parts: Parts, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = seed_flags(parts, "mimir", "-gateway.auth.tenant-name=everyone")
    assert serve_main(["--store", "/nonexistent/x.db", *flags]) == 1
    assert "allow-anonymous = true" in capfd.readouterr().err
    server = serve(*flags, "-gateway.allow-anonymous")
    assert ask(server, QUERY) == 200
    assert parts["query-frontend"].last.tenant == "everyone"
    assert ask(server, QUERY, X_Scope_OrgID="another") == 403


def test_g18_the_claim_that_names_the_tenant(serve: Callable[..., Server], parts: Parts) -> None:
    flag = "-gateway.auth.tenant-id-claim=org.id"
    server = serve(*seed_flags(parts, "mimir", flag))
    exp = int(time.time()) + 60
    cases: list[tuple[dict[str, Any], int]] = [
        ({"org": {"id": "team-a"}}, 200),
        ({"org.id": "team-a"}, 200),
        ({"org": {"id": ["team-a"]}}, 200),
        ({"org": {"id": 7}}, 401),
        ({"org": {"id": ""}}, 401),
        ({"org": {"id": "a|b"}}, 401),
        ({"org": {"id": "a/b"}}, 401),
        ({"org": {"id": [["a"]]}}, 401),
        ({"org": {"id": {}}}, 401),
        ({"tenant_id": "team-a"}, 401),
    ]
    for claims, status in cases:
        assert ask(server, QUERY, token(exp=exp, **claims)) == status, claims


def test_g18_several_tenants_of_one_token(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    url = parts["ruler"].url
    table = upstream("mimir", urls=[url], federation=True, jwt={"secret": SECRET})
    server = configured(serve, tmp_path, table)
    both = tenant(["team-a", "team-b"])
    assert ask(server, QUERY, both) == 200
    assert parts["ruler"].last.tenant == "team-a|team-b"
    assert ask(server, QUERY, both, X_Scope_OrgID="team-b") == 200
    assert parts["ruler"].last.tenant == "team-b"
    assert ask(server, PUSH, both, "POST") == 400
    assert ask(server, PUSH, both, "POST", X_Scope_OrgID="team-b") == 200


def test_g19_to_g22_loki_may_have_its_own(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    own = "a secret of more than thirty-two bytes, for Loki"
    gateway = f'allow-anonymous = true\n[gateway.jwt]\nsecret = "{SECRET}"\n'
    jwt = {"secret": own, "tenant-claim": "org", "extra-headers": ["X-Id-Token"]}
    tables = upstream("mimir", urls=[parts["ruler"].url])
    tables += upstream("loki", urls=[parts["loki"].url], mount="/l", jwt=jwt)
    tables += upstream(
        "loki", name="open", urls=[parts["loki"].url], mount="/o", **{"tenant-name": "everyone"}
    )
    server = configured(serve, tmp_path, tables, gateway=gateway)
    exp = int(time.time()) + 60
    lokis = token(own, org="team-l", exp=exp)
    assert ask(server, QUERY, tenant()) == 200
    assert ask(server, QUERY, lokis) == 401
    assert ask(server, "/l" + LOKI_PUSH, lokis, "POST") == 200
    assert parts["loki"].last.tenant == "team-l"
    assert ask(server, "/l" + LOKI_PUSH, "", "POST", X_Id_Token=lokis) == 200
    assert ask(server, QUERY, "", X_Id_Token=tenant()) == 401
    assert ask(server, "/l" + LOKI_QUERY, token(SECRET, org="team-l", exp=exp)) == 401
    assert ask(server, "/o" + LOKI_QUERY) == 200
    assert parts["loki"].last.tenant == "everyone"


def test_g23_a_key_set_that_comes_later(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    pair = made.key("later")
    with KeyServer([Said(503), Said(body=jwks(pair))], stays=True) as keys:
        jwt = {"jwk-set-url": keys.url, "allow-insecure-jwk-set-url": True}
        table = upstream("mimir", urls=[parts["ruler"].url], jwt=jwt)
        server = configured(serve, tmp_path, table)
        text = made.token(pair, {"tenant_id": "team-a", "exp": int(time.time()) + 60})
        assert ask(server, QUERY, text) == 503
        keys.set(1)
        poll_until(lambda: ask(server, QUERY, text) == 200, "the keys never came")


def test_g24_the_claim_is_tenant_id(mimir: Server) -> None:
    exp = int(time.time()) + 60
    assert ask(mimir, QUERY, token(tenant_id="x", exp=exp)) == 200
    assert ask(mimir, QUERY, token(tenantid="x", exp=exp)) == 401


def test_g25_the_audience_if_one_is_expected(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    jwt = {"secret": SECRET, "audiences": ["mimir"]}
    server = configured(serve, tmp_path, upstream("mimir", urls=[parts["ruler"].url], jwt=jwt))
    found = [ask(server, QUERY, tenant(aud=aud)) for aud in ("mimir", ["x", "mimir"], "x", [])]
    assert found == [200, 200, 401, 401]
    assert ask(server, QUERY, tenant()) == 401


def test_g26_versions_take_tokens_back(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    def table(least: int) -> str:
        jwt = {"secret": SECRET}
        text = upstream("mimir", urls=[parts["ruler"].url], jwt=jwt)
        return f"{text}versions = {{team-a = {least}}}\n"

    server = configured(serve, tmp_path, table(1))
    one, two = tenant(version=1), tenant(version=2)
    assert ask(server, QUERY, one) == ask(server, QUERY, two) == 200
    assert ask(server, QUERY, tenant()) == ask(server, QUERY, tenant(version="2")) == 401
    assert ask(server, QUERY, tenant("team-b")) == 200
    (tmp_path / "headgate.toml").write_text("[gateway]\n" + table(2))
    assert server.process is not None
    server.process.send_signal(1)
    poll_until(lambda: ask(server, QUERY, one) == 401, "it is still good")
    assert ask(server, QUERY, two) == 200


def test_g27_times(serve: Callable[..., Server], parts: Parts, mimir: Server) -> None:
    now = int(time.time())
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 401),
        ({"exp": now + 60}, 200),
        ({"exp": now - 20}, 200),  # clocks may differ by half a minute
        ({"exp": now - 120}, 401),
        ({"exp": -1}, 401),
        ({"exp": 1e300}, 200),
        ({"exp": "soon"}, 401),
        ({"exp": now + 60, "nbf": now + 120}, 401),
        ({"exp": now + 60, "iat": now + 120}, 401),
    ]
    for claims, status in cases:
        assert ask(mimir, QUERY, token(tenant_id="team-a", **claims)) == status, claims
    lax = serve(*seed_flags(parts, "mimir", "-gateway.auth.require-exp=false"))
    assert ask(lax, QUERY, token(tenant_id="team-a")) == 200


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


def test_g31_run_it_and_check_it_first(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[gateway]\n" + upstream("mimir", urls=["http://127.0.0.1:9009"]))
    command = [sys.executable, "-m", "headgate", "serve", "--check", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "headgate: the configuration is well\n")
    path.write_text("[gateway]\nupstream = 1\n")
    assert subprocess.run(command, capture_output=True).returncode == 1


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
    # A token is no user: it manages nobody.
    assert ask(mimir, "/query?q=SHOW+USERS", tenant()) == 403
    whoami = mimir.request("GET", "/api/whoami", None, bearer(tenant()))
    assert whoami.status == 401


def test_the_secret_is_not_to_be_seen(mimir: Server) -> None:
    assert mimir.process is not None
    shown = Path(f"/proc/{mimir.process.pid}/cmdline").read_bytes()
    assert b"[REDACTED]" in shown and SECRET.encode() not in shown
    assert SECRET not in mimir.log()
    assert json.dumps(SECRET) not in mimir.log()
