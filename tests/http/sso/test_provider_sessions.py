"""Sessions of people that came by a provider: refresh, sign-out, and logout by the provider."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from headgate_engine import Session, SqliteStore
from support.account_requests import COOKIE, send
from support.console_requests import Visitor, page_text
from support.fake_openid import LOGOUT_EVENT, FakeOpenID
from support.key_server import Said
from support.local_server import LocalServer
from support.servers import ROOT
from support.sso import BASE_URL, come_back

pytest_plugins = ("support.fake_openid_fixtures",)
pytestmark = pytest.mark.usefixtures("changes_are_seen_at_once")

Serve = Callable[..., LocalServer]


def change_sessions(server: LocalServer, change: Callable[[Session], Session]) -> None:
    """Changes all sessions in the store of *server*."""
    with closing(SqliteStore(server.store)) as store:
        for session in store.sessions():
            changed = change(session)
            store.upkeep(lambda tx, it=changed: tx.put_session(it))  # type: ignore[misc]


def let_access_end(server: LocalServer, seconds: int = 1) -> None:
    """Lets the access of all sessions end *seconds* ago."""

    def ended(session: Session) -> Session:
        now = session.access_expires_at and session.created_at
        return replace(session, access_expires_at=now - seconds)

    change_sessions(server, ended)


def refreshes(provider: FakeOpenID) -> int:
    grants = [it.form.get("grant_type") for it in provider.requests("/token")]
    return grants.count("refresh_token")


REFRESH = {"use_refresh_token": True, "groups_attribute_path": "groups"}


@pytest.mark.slow
def test_the_provider_confirms_the_access_when_it_ends(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH, db_mapping=["staff:shop:READ", "ops:shop:WRITE"])
    visitor = Visitor(server)
    come_back(visitor, provider)
    assert visitor.get("/api/user").json["grants"] == {"shop": "READ"}
    assert refreshes(provider) == 0
    provider.accounts["ann"]["groups"] = ["ops"]
    for expected in (1, 2):
        let_access_end(server)
        for _ in range(3):
            assert visitor.get("/api/user").json["grants"] == {"shop": "WRITE"}
        assert refreshes(provider) == expected  # each with the newest refresh token


@pytest.mark.slow
def test_a_lost_group_ends_the_session_at_the_next_refresh(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH, allowed_groups=["staff"])
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.accounts["ann"]["groups"] = []
    assert visitor.get("/api/user").status == 200
    let_access_end(server)
    assert visitor.get("/api/user").json["code"] == "revoked"
    assert visitor.get("/api/user").status == 401 and COOKIE not in visitor.cookies


@pytest.mark.slow
def test_a_revoked_refresh_token_ends_the_session(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH)
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.say("/token", Said(status=400, body=b'{"error":"invalid_grant"}'))
    let_access_end(server)
    answer = visitor.get("/console/account")
    assert answer.status == 303 and answer.headers["Location"].startswith("/login")


@pytest.mark.slow
def test_a_provider_that_is_away_signs_no_one_out(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH, refresh_stale_if_error="5m")
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.stop()
    let_access_end(server, 60)
    assert visitor.get("/api/user").status == 200
    assert visitor.get("/api/user").status == 200
    let_access_end(server, 400)
    answer = visitor.get("/api/user")
    assert answer.status == 503 and answer.headers["Retry-After"] and COOKIE in visitor.cookies
    provider.start()
    end_pauses(server)
    assert visitor.get("/api/user").status == 200


def end_pauses(server: LocalServer) -> None:
    """Ends the pauses after failed refreshes."""
    with closing(SqliteStore(server.store)) as store:
        for session in store.sessions():
            tokens = store.session_tokens(session.id)
            assert tokens is not None
            ready = replace(tokens, refreshing_until=0)
            store.upkeep(
                lambda tx, id=session.id, it=ready: tx.put_session_tokens(id, it)  # type: ignore[misc]
            )


@pytest.mark.slow
def test_twenty_requests_at_once_refresh_once(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH)
    visitor = Visitor(server)
    come_back(visitor, provider)
    let_access_end(server)
    cookie = visitor.cookies[COOKIE]
    with ThreadPoolExecutor(20) as pool:
        path = "/api/user"
        answers = [pool.submit(send, server, "GET", path, cookie=cookie) for _ in range(20)]
        assert {it.result().status for it in answers} == {200}
    assert refreshes(provider) == 1


@pytest.mark.slow
def test_an_unlinked_identity_refreshes_nothing(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH)
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.accounts["ann"]["sub"] = "another"
    provider.user_info_only = set()
    let_access_end(server)
    assert visitor.get("/api/user").status == 401


def test_tokens_of_providers_rest_sealed(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(**REFRESH, single_logout=True)
    come_back(Visitor(server), provider)
    with closing(SqliteStore(server.store)) as store:
        (session,) = store.sessions()
        tokens = store.session_tokens(session.id)
    assert tokens is not None and tokens.refresh_token and tokens.id_token
    key_file = Path(f"{server.store}.key")
    assert key_file.stat().st_mode & 0o777 == 0o600
    answered = [it.form.get("code", "") for it in provider.requests("/token")]
    content = b"".join(it.read_bytes() for it in Path(server.store).parent.iterdir())
    assert b"eyJ" not in content and not any(it.encode() in content for it in answered)


def test_a_sign_out_leads_to_the_provider(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(single_logout=True)
    visitor = Visitor(server)
    come_back(visitor, provider)
    answer = visitor.post("/console/sign-out")
    # Not a redirect: the policy of the page's form forbids another site.
    assert answer.status == 200 and COOKIE not in visitor.cookies
    url = page_text(answer).partition("0;url=")[2].partition('"')[0]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{provider.issuer}/end_session?")
    assert asked["client_id"] == "headgate" and asked["id_token_hint"].count(".") == 2
    assert asked["post_logout_redirect_uri"] == f"{BASE_URL}/login?signed_out=1"
    assert "You have signed out." in page_text(visitor.get("/login?signed_out=1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("auth", "options", "target"),
    [
        ("", {}, "/login?signed_out=1"),
        ('signout-redirect-url = "https://bye.example/"', {}, "https://bye.example/"),
        (
            'signout-redirect-url = "https://bye.example/"',
            {"signout_redirect_url": "https://corp.example/bye"},
            "https://corp.example/bye",
        ),
    ],
)
def test_where_a_sign_out_leads(
    start_server: Callable[..., LocalServer],
    provider: FakeOpenID,
    auth: str,
    options: dict[str, Any],
    target: str,
) -> None:
    server = start_server(auth, **options)
    for accept, method in (("application/json", "POST"), ("text/html", "GET")):
        visitor = Visitor(server)
        come_back(visitor, provider)
        if method == "POST":
            answer = visitor.post("/logout", Accept=accept)
            found = answer.json["redirect"] if answer.status == 200 else "/login?signed_out=1"
            assert answer.status == (200 if answer.body else 204)
        else:
            answer = visitor.get("/logout", Accept=accept)
            page = page_text(answer).partition("0;url=")[2].partition('"')[0]
            found = answer.headers.get("Location", "") or page
        assert found == target and COOKIE not in visitor.cookies


def test_a_page_of_another_site_signs_no_one_out(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    visitor = Visitor(server)
    come_back(visitor, provider)
    question = visitor.get("/logout", Sec_Fetch_Site="cross-site")
    assert question.status == 200 and "Sign out?" in page_text(question)
    assert visitor.post("/logout", Sec_Fetch_Site="cross-site").status == 403
    assert visitor.get("/api/user").status == 200


def logout(server: LocalServer, token: str) -> Any:
    body = urlencode({"logout_token": token}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/login/corp/backchannel-logout", body, headers)


@pytest.mark.slow
def test_the_provider_ends_sessions_by_its_session_or_its_account(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    visitors = [Visitor(server) for _ in range(3)]
    sids = []
    for visitor in visitors:
        come_back(visitor, provider)
        sids.append(provider.session)
    token = provider.logout_token(session=sids[0])
    assert logout(server, token).status == 200
    assert [it.get("/api/user").status for it in visitors] == [401, 200, 200]
    replayed = logout(server, token)
    assert (replayed.status, replayed.json) == (400, {"error": "invalid_request"})
    # A session of another account does not end by this one's subject.
    assert logout(server, provider.logout_token("other", sids[1])).status == 200
    assert visitors[1].get("/api/user").status == 200
    local = Visitor(server, *ROOT)
    assert logout(server, provider.logout_token("ann")).status == 200
    assert [it.get("/api/user").status for it in visitors] == [401, 401, 401]
    assert local.get("/api/user").status == 200


FORGED: dict[str, Callable[[FakeOpenID], str]] = {
    "no token": lambda provider: "",
    "an ID token": lambda provider: provider.signed(
        {"iss": provider.issuer, "aud": "headgate", "sub": "ann", "iat": 1, "exp": 9_999_999_999}
    ),
    "another issuer": lambda provider: provider.logout_token("ann", iss="https://evil.example"),
    "another audience": lambda provider: provider.logout_token("ann", aud="other"),
    "a nonce": lambda provider: provider.logout_token("ann", nonce="n"),
    "no event": lambda provider: provider.logout_token("ann", events={}),
    "an event that is no object": lambda provider: provider.logout_token(
        "ann", events={LOGOUT_EVENT: True}
    ),
    "no jti": lambda provider: provider.logout_token("ann", jti=None),
    "neither subject nor session": lambda provider: provider.logout_token(),
    "expired": lambda provider: provider.logout_token("ann", exp=1_000_000_000),
    "a broken signature": lambda provider: provider.logout_token("ann")[:-6] + "AAAAAA",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_logout_token_ends_nothing(
    start_server: Callable[..., LocalServer],
    provider: FakeOpenID,
    forge: Callable[[FakeOpenID], str],
) -> None:
    server = start_server()
    visitor = Visitor(server)
    come_back(visitor, provider)
    assert logout(server, forge(provider)).status == 400
    assert visitor.get("/api/user").status == 200


def test_a_session_may_end_with_its_id_token(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(session_ends_with_token=True)
    visitor = Visitor(server)
    come_back(visitor, provider)
    (session,) = visitor.get("/api/user/sessions").json
    assert session["expires_at"] < session["created_at"][:11] + "99"
    change_sessions(server, lambda it: replace(it, ends_at=it.created_at))
    assert visitor.get("/api/user").json["code"] == "expired"


@pytest.mark.slow
def test_changes_of_how_one_signs_in_need_a_recent_sign_in(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    visitor = Visitor(server)
    come_back(visitor, provider)
    change_sessions(server, lambda it: replace(it, auth_at=it.auth_at - 1000))
    (identity,) = visitor.get("/api/user/identities").json
    path = f"/api/user/identities/{identity['id']}"
    answer = send(server, "DELETE", path, cookie=visitor.cookies[COOKIE])
    assert (answer.status, answer.json["code"]) == (403, "again")
    email = {"email": "else@example.com"}
    answer = send(server, "PATCH", "/api/user", email, cookie=visitor.cookies[COOKIE])
    assert (answer.status, answer.json["code"]) == (403, "again")
    back = visitor.post("/console/account/identities", {"identity": identity["id"]})
    assert back.headers["Location"] == "/login?again=1&redirect=%2Fconsole%2Faccount"
    assert "Sign in again" in page_text(visitor.follow(back))
    begun = visitor.get("/login/corp?again=1&redirect=/console/account")
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    come_back(visitor, provider, start="/login/corp?again=1&redirect=/console/account")
    assert send(server, "PATCH", "/api/user", email, cookie=visitor.cookies[COOKIE]).status == 200
    provider.accounts["other"] = {"preferred_username": "other"}
    answer = come_back(visitor, provider, "other", "/login/corp?again=1")
    assert answer.status == 403 and "of another user" in page_text(answer)
