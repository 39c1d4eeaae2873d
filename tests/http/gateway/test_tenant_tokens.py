"""auth-gateway's features of tokens, G15 to G27. test_features.py has all other features."""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import TokenRejected
from headgate_server.auth.tenant_tokens import TenantTokenVerifier
from headgate_server.config.gateway import TenantTokenSettings
from headgate_server.config.values import seconds
from headgate_server.http.urlencoded import Pairs
from support import made_tokens as made
from support.gateway_fixtures import configured, upstream
from support.key_server import KeyServer, Said
from support.programs_of_ours import run_headgate
from support.servers import Server
from support.tenant_fixtures import (
    LOKI_PUSH,
    LOKI_QUERY,
    PUSH,
    QUERY,
    SECRET,
    Parts,
    ask,
    bearer,
    jwks,
    seed_flags,
    tenant,
    token,
)
from support.waiting import poll_until


@pytest.mark.slow
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


@pytest.mark.slow
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
    # The first header with a token decides.
    wrong = {"X-Id-Token": "nonsense"} | bearer(tenant())
    assert server.request("GET", QUERY, None, wrong).status == 401


def test_g17_one_tenant_for_all_users_has_to_be_meant(
    serve: Callable[..., Server], parts: Parts
) -> None:
    flags = seed_flags(parts, "mimir", "-gateway.auth.tenant-name=everyone")
    done = run_headgate("serve", "--store", "/nonexistent/x.db", *flags)
    assert done.returncode == 1 and "allow-anonymous = true" in done.stderr
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
    (tmp_path / "secret").write_text(SECRET)
    gateway = f'allow-anonymous = true\n[gateway.jwt]\nsecret-file = "{tmp_path}/secret"\n'
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


@pytest.mark.slow
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
    server.reload()
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


# Of tokens that a Mimir upstream refuses: the configuration beside `jwt.secret`, the token, the
# reason in the log. The client's answer is `invalid token` for all of them.
OTHERS = "o" * 40
ISSUER = f"""
[auth.jwt]
enabled = true
header-name = "Authorization"
username-claim = "sub"
jwk-set-value = '{jwks(made.key("issuer")).decode()}'
"""


@pytest.mark.slow
@pytest.mark.parametrize("users", [True, False])
@pytest.mark.parametrize(
    ("beside", "claims", "reason"),
    [
        ("", {}, 'no claim "tenant_id"'),
        ("", {"tenant_id": None}, 'no claim "tenant_id"'),
        ("", {"tenant_id": 7}, "no tenant in the claims"),
        ("", {"tenant_id": "team-a", "exp": 1}, "exp is past"),
        (f'[http]\nshared-secret = "{OTHERS}"', {}, 'no claim "tenant_id"'),
        (ISSUER, {}, 'no claim "tenant_id"'),
    ],
)
def test_the_log_says_what_is_wrong_with_a_token_by_the_link_that_it_is_for(
    serve: Callable[..., Server],
    tmp_path: Path,
    parts: Parts,
    beside: str,
    claims: dict[str, Any],
    reason: str,
    users: bool,
) -> None:
    table = upstream("mimir", urls=[parts["ruler"].url], jwt={"secret": SECRET})
    server = configured(serve, tmp_path, table + beside + "\n")
    if users:
        server.bootstrap("CREATE DATABASE a")
    said = {"exp": int(time.time()) + 60} | claims
    text = made.token(SECRET.encode(), said, "HS256")
    answer = server.request("GET", QUERY, None, bearer(text))
    assert answer.status == 401 and b"invalid token" in answer.body
    assert f"invalid token: {reason}" in server.log().replace('\\"', '"')
    assert "bearer auth disabled" not in server.log()


def test_a_token_of_a_user_is_still_the_shared_secrets(
    serve: Callable[..., Server], tmp_path: Path, parts: Parts
) -> None:
    table = upstream("mimir", urls=[parts["ruler"].url], jwt={"secret": SECRET})
    beside = f'[http]\nshared-secret = "{OTHERS}"\n'
    server = configured(serve, tmp_path, table + beside)
    server.bootstrap(
        "CREATE DATABASE a; CREATE USER todd WITH PASSWORD 'x'; GRANT READ ON a TO todd"
    )
    exp = int(time.time()) + 60
    assert ask(server, QUERY, token(OTHERS, username="todd", exp=exp), X_Scope_OrgID="a") == 200
    assert parts["ruler"].last.tenant == "a"
    wrong = token("x" * 40, username="todd", exp=exp)
    assert server.request("GET", QUERY, None, bearer(wrong)).status == 401
    assert "signature is invalid" in server.log()


@pytest.mark.slow
@pytest.mark.parametrize("lifetime", ["0s", "60m"])
def test_a_key_that_left_the_set_is_refused_at_once(lifetime: str) -> None:
    pair, other = made.key("leaves"), made.key("stays")

    def key_set(*keys: Any) -> Said:
        entries = [made.jwk(key, kid=name) for name, key in keys]
        return Said(body=json.dumps({"keys": entries}).encode())

    said = [key_set(("leaves", pair), ("stays", other)), key_set(("stays", other))]
    exp = int(time.time()) + 600
    old, new = (
        made.token(key, {"tenant_id": "team-a", "exp": exp}, header={"kid": name})
        for name, key in (("leaves", pair), ("stays", other))
    )

    async def work(url: str) -> None:
        login = TenantTokenVerifier(
            TenantTokenSettings(
                jwk_set_url=url,
                allow_insecure_jwk_set_url=True,
                cache_ttl=seconds(lifetime),
            )
        )
        for text in (old, new, old, new):
            assert (await login.authenticate(text)).name == "token:team-a"
        keys.set(1)
        if lifetime != "0s":
            source: Any = login._key_verifier.source if login._key_verifier is not None else None
            source._expires_at = source._refresh_at = 0.0  # as if the key set had expired
        with pytest.raises(TokenRejected) as refused:
            await login.authenticate(old)
        assert refused.value.reason == "unknown kid"
        assert (await login.authenticate(new)).name == "token:team-a"
        await login.close()

    with KeyServer(said, stays=True) as keys:
        asyncio.run(work(keys.url))


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1f", "\x0b"])
def test_a_header_knows_no_blanks_but_blank_and_tab(blank: str) -> None:
    login = TenantTokenVerifier(
        TenantTokenSettings(secrets=(SECRET,), extra_headers=("X-Id-Token",))
    )

    def found(extra: str, authorization: str) -> str:
        given = {"X-Id-Token": [extra], "authorization": [authorization]}
        shown = RequestCredentials(Pairs([]), lambda name: given[name])
        return login.find_token(shown, secret=False, issuers=False)

    text = tenant()
    assert found("", f"Bearer {text}") == found(" \t", f"\tBearer {text} ") == text
    assert found(f"\tBearer {text} ", "") == text
    # A header counts as empty only if it has just blanks and tabs; other text is taken as a token.
    assert found(blank, f"Bearer {text}") == blank
    assert found("", f"Bearer {text}{blank}") == text + blank
