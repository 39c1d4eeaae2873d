"""People sign in by an OpenID provider: the flow, the checks of each step, what a browser keeps."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from support.account_requests import COOKIE, send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.key_server import Said
from support.local_server import LocalServer
from support.made_tokens import key as made_key
from support.servers import ROOT
from support.sso import BASE_URL, come_back, path_of, provider_table, serve_with
from support.waiting import poll_until

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


@pytest.fixture
def server(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> LocalServer:
    return serve_with(serve, tmp_path, provider_table(provider))


def me(visitor: Visitor) -> Any:
    """Returns the signed-in user as JSON; None if no user is signed in."""
    answer = visitor.get("/api/user")
    return answer.json if answer.status == 200 else None


def test_a_person_signs_in_and_becomes_a_user(server: LocalServer, provider: FakeOpenID) -> None:
    visitor = Visitor(server)
    assert "Continue with corp" in page_text(visitor.get("/login?redirect=/console/keys"))
    begun = visitor.get("/login/corp?redirect=/console/keys")
    url = urlsplit(begun.headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert asked | {"state": "", "nonce": "", "code_challenge": ""} == {
        "response_type": "code",
        "client_id": "headgate",
        "redirect_uri": f"{BASE_URL}/login/corp/callback",
        "scope": "openid email profile",
        "state": "",
        "nonce": "",
        "code_challenge": "",
        "code_challenge_method": "S256",
    }
    (cookie,) = [it for it in begun.headers.get_all("Set-Cookie", []) if "headgate_login_" in it]
    assert cookie.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")
    assert not any(value in cookie for value in (asked["state"], asked["nonce"]))
    back = visitor.get(path_of(provider.sign_in(begun.headers["Location"], "ann")))
    assert (back.status, back.headers["Location"]) == (303, "/console/keys")
    assert COOKIE in visitor.cookies and len(visitor.cookies) == 1  # that of the flow is deleted
    user = me(visitor)
    assert (user["name"], user["email"], user["emailVerified"], user["fullName"]) == (
        *("ann", "ann@example.com", True, "Ann Archer"),
    )
    assert (user["isExternal"], user["grants"]) == (True, {})
    (session,) = visitor.get("/api/user/sessions").json
    assert (session["method"], session["provider"]) == ("oauth", "corp")
    statements = [record.statement for record in audit_records(server)]
    assert "CREATE USER ann -- no password" in statements
    assert "-- session begins (oauth corp)" in statements
    assert not any("example.com" in it for it in statements)


@pytest.mark.slow
def test_the_same_account_stays_the_same_user(server: LocalServer, provider: FakeOpenID) -> None:
    first, second = Visitor(server), Visitor(server)
    come_back(first, provider)
    provider.accounts["ann"] |= {"preferred_username": "root", "email": "new@example.com"}
    come_back(second, provider)
    assert me(first)["id"] == me(second)["id"] and me(second)["email"] == "new@example.com"
    assert me(second)["name"] == "ann"


FORGED = {
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "another audience": {"claims": {"aud": "other"}},
    "two audiences": {"claims": {"aud": ["headgate", "other"]}},
    "another azp": {"claims": {"azp": "other"}},
    "another nonce": {"claims": {"nonce": "other"}},
    "no nonce": {"without": ("nonce",)},
    "no subject": {"without": ("sub",)},
    "a long subject": {"claims": {"sub": "x" * 256}},
    "a subject that is not a text": {"claims": {"sub": 7}},
    "a wrong at_hash": {"claims": {"at_hash": "AAAA"}},
    "expired": {"claims": {"exp": 1_000_000_000}},
    "issued long ago": {"claims": {"iat": int(time.time()) - 1000}},
    "from the future": {"claims": {"iat": int(time.time()) + 1000}},
    "no expiry": {"without": ("exp",)},
    "unsigned": {"algorithm": "none"},
    "signed with the client secret": {"algorithm": "HS256"},
    "another key": {"key": made_key("stranger", "RSA", "2048")},
    "critical header": {"header": {"crit": ["x"]}},
}


@pytest.mark.slow
@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED.keys())
def test_a_forged_id_token_signs_no_one_in(
    server: LocalServer, provider: FakeOpenID, change: dict[str, Any]
) -> None:
    provider.change_id_token(**change)
    visitor = Visitor(server)
    answer = come_back(visitor, provider)
    assert answer.status == 403 and "This account may not sign in here." in page_text(answer)
    assert COOKIE not in visitor.cookies and len(send(server, "GET", "/api/users").json) == 1
    assert 'href="/login?disableAutoLogin"' in page_text(answer)
    reasons: list[str] = []

    def is_recorded() -> bool:
        records = audit_records(server)
        reasons[:] = [it.outcome for it in records if it.statement == "-- login (oauth corp)"]
        return bool(reasons)

    poll_until(is_recorded, "the refusal is not in the audit")
    assert len(reasons) == 1 and reasons[0].startswith("ID token")


def test_two_audiences_are_fine_if_we_are_the_authorized_party(
    server: LocalServer, provider: FakeOpenID
) -> None:
    provider.change_id_token({"aud": ["other", "headgate"], "azp": "headgate"})
    assert come_back(Visitor(server), provider).status == 303


def test_user_information_of_another_account_is_refused(
    server: LocalServer, provider: FakeOpenID
) -> None:
    provider.change("/userinfo", {"sub": "another"})
    assert come_back(Visitor(server), provider).status == 403


@pytest.mark.slow
def test_a_callback_counts_once_and_in_its_own_browser(
    server: LocalServer, provider: FakeOpenID
) -> None:
    visitor, stranger = Visitor(server), Visitor(server)
    begun = visitor.get("/login/corp")
    callback = path_of(provider.sign_in(begun.headers["Location"], "ann"))
    sealed = dict(visitor.cookies)
    sentence = "This sign-in was not begun here, or too long ago."
    for other in (stranger, Visitor(server)):
        other.get("/login/corp")
        answer = other.get(callback)
        assert answer.status == 400 and sentence in page_text(answer)
    for wrong in (
        *("/login/corp/callback", "/login/corp/callback?code=x", "/login/corp/callback?state="),
        *(f"{callback}&state=again", callback.replace("state=", "state=x")),
    ):
        assert Visitor(server).get(wrong).status == 400
        assert visitor.get(wrong).status == 400
    visitor.cookies |= sealed
    assert visitor.get(callback).status == 303
    visitor.cookies |= sealed
    assert visitor.get(callback).status == 400  # its state was used


@pytest.mark.slow
def test_several_tabs_sign_in_at_once(server: LocalServer, provider: FakeOpenID) -> None:
    visitor = Visitor(server)
    urls = [visitor.get("/login/corp").headers["Location"] for _ in range(6)]
    assert sum(name.startswith("headgate_login_") for name in visitor.cookies) == 4
    callbacks = [path_of(provider.sign_in(url, "ann")) for url in urls]
    assert [visitor.get(it).status for it in callbacks] == [400, 400, 303, 303, 303, 303]


@pytest.mark.parametrize(
    ("parameters", "status", "sentence"),
    [
        ({"error": "access_denied"}, 403, "You, or the provider, said no."),
        ({"error": "server_error"}, 503, "the provider did not answer as expected"),
        ({"error": "temporarily_unavailable"}, 503, "try again"),
        ({"error": "invalid_scope", "error_description": "<b>\x07no"}, 502, "try again"),
        ({"error": "x" * 5000}, 502, "try again"),
        ({"iss": "", "code": "x" * 2049}, 400, "no valid code"),
        ({"code": "c", "iss": "https://evil.example"}, 403, "may not sign in here"),
        ({"iss": ""}, 400, "no valid code"),
        ({"code": "c"}, 403, "may not sign in here"),
    ],
)
def test_what_a_provider_may_answer_instead(
    server: LocalServer,
    provider: FakeOpenID,
    parameters: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    visitor = Visitor(server)
    url = visitor.get("/login/corp").headers["Location"]
    state = parse_qs(urlsplit(url).query)["state"][0]
    if parameters.get("iss") == "":
        parameters = parameters | {"iss": provider.issuer}
    answer = visitor.get(f"/login/corp/callback?{urlencode(parameters | {'state': state})}")
    assert answer.status == status and sentence.lower() in page_text(answer).lower()
    assert not any(name.startswith("headgate_login_") for name in visitor.cookies)


BROKEN = {
    "500": (Said(status=500), 502),
    "no JSON": (Said(body=b"<html>"), 502),
    "a list": (Said(body=b"[]"), 502),
    "twice a member": (Said(body=b'{"access_token":"a","access_token":"b"}'), 502),
    "no token": (Said(body=b'{"token_type":"Bearer"}'), 502),
    "another type": (Said(body=b'{"access_token":"a","token_type":"mac"}'), 502),
    "a redirect": (Said(status=302, headers={"Location": "https://evil.example"}), 502),
    "too much": (Said(body=b'{"access_token":"' + b"a" * (2 << 20) + b'"}'), 502),
    "no answer": (Said(status=0), 502),
    "another code": (Said(status=400, body=b'{"error":"invalid_grant"}'), 403),
    "another client": (Said(status=401, body=b'{"error":"invalid_client"}'), 502),
    "no ID token": (Said(body=b'{"access_token":"a","token_type":"Bearer"}'), 403),
}


@pytest.mark.parametrize(("answer", "status"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_token_endpoint_is_told_as_such(
    server: LocalServer, provider: FakeOpenID, answer: Said, status: int
) -> None:
    provider.say("/token", answer)
    visitor = Visitor(server)
    assert come_back(visitor, provider).status == status
    assert COOKIE not in visitor.cookies
    assert come_back(visitor, provider).status == 303  # the next one works


def test_discovery_of_another_issuer_begins_nothing(
    server: LocalServer, provider: FakeOpenID
) -> None:
    provider.discovery["issuer"] = "https://evil.example"
    assert Visitor(server).get("/login/corp").status == 502


@pytest.mark.parametrize(
    "redirect",
    [
        *("//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example"),
        *("/%0d%0aSet-Cookie:x=1", "/console/\x00", "/console/../../evil", "javascript:alert(1)"),
    ],
)
def test_no_sign_in_leads_to_another_site(
    server: LocalServer, provider: FakeOpenID, redirect: str
) -> None:
    start = f"/login/corp?redirect={quote(redirect, safe='')}"
    answer = come_back(Visitor(server), provider, start=start)
    assert (answer.status, answer.headers["Location"]) == (303, "/console/")


def test_names_of_providers_and_methods_that_do_not_exist(server: LocalServer) -> None:
    visitor = Visitor(server)
    for path in ("/login/other", "/login/other/callback?state=x", "/login/corp/else", "/login/"):
        assert visitor.get(path).status == 404, path
    assert visitor.post("/login/corp").status == 405


def test_strict_cookies_come_by_a_page_that_moves_on(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(
        serve, tmp_path, provider_table(provider), auth='cookie-samesite = "strict"'
    )
    visitor = Visitor(server)
    answer = come_back(visitor, provider, start="/login/corp?redirect=/console/keys")
    assert answer.status == 200 and 'content="0;url=/console/keys"' in page_text(answer)
    assert me(visitor)["name"] == "ann"


@pytest.mark.slow
def test_auto_login_leads_to_the_provider_unless_the_person_just_left(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider, auto_login=True))
    visitor = Visitor(server)
    answer = visitor.get("/login?redirect=/console/keys")
    assert (answer.status, answer.headers["Location"]) == (
        *(302, "/login/corp?redirect=%2Fconsole%2Fkeys"),
    )
    for query in ("disableAutoLogin", "disableAutoLogin=true", "signed_out=1", "error=x"):
        assert visitor.get(f"/login?{query}").status == 200, query
    assert visitor.get("/login?disableAutoLogin=false").status == 302


def test_the_sign_in_page_without_a_form_takes_no_password(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider), auth="disable-login-form = true")
    page = page_text(Visitor(server).get("/login"))
    assert "Continue with corp" in page and 'type="password"' not in page
    answer = Visitor(server).post("/login", {"username": ROOT[0], "password": ROOT[1]})
    assert answer.status == 403


def test_the_providers_are_listed_for_programs(server: LocalServer) -> None:
    assert send(server, "GET", "/api/providers", login=None).json == [
        {"name": "corp", "title": "corp", "kind": "oidc", "url": "/login/corp"}
    ]


def test_the_addresses_of_pyroscope_lead_to_the_provider(
    server: LocalServer, provider: FakeOpenID
) -> None:
    visitor = Visitor(server)
    begun = visitor.get("/auth/corp/login?redirect=/console/keys")
    assert begun.status == 302
    callback = path_of(provider.sign_in(begun.headers["Location"], "ann"))
    answer = visitor.get(callback.replace("/login/corp/callback", "/auth/corp/callback"))
    assert (answer.status, answer.headers["Location"]) == (303, "/console/keys")
    for path in ("/auth/other/login", "/auth/corp/else", "/auth/corp", "/auth/corp/login/more"):
        assert visitor.get(path).status == 404, path


def test_the_origin_of_base_url_is_our_own_behind_a_proxy_that_changes_host(
    server: LocalServer, provider: FakeOpenID
) -> None:
    body = {"user": ROOT[0], "password": ROOT[1]}
    for origin, status in ((BASE_URL, 200), ("http://evil.example", 403), ("null", 403)):
        headers = {"Origin": origin, "Host": "10.0.0.7:8086"}
        answer = send(server, "POST", "/api/session", body, None, headers=headers)
        assert answer.status == status, origin
