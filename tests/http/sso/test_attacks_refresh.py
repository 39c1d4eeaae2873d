"""Sessions of providers that say little at a refresh, and claims that demote administrators."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import SqliteStore
from headgate_engine.accounts.provider_sessions import LEASE_SECONDS, REFRESH_SECONDS
from support.account_requests import COOKIE, send
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.key_server import Said
from support.local_server import LocalServer
from support.sso import come_back, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)
pytestmark = pytest.mark.usefixtures("changes_are_seen_at_once")


@pytest.fixture
def start(serve: Any, tmp_path: Path, provider: FakeOpenID) -> Callable[..., LocalServer]:
    def started(**options: Any) -> LocalServer:
        table = provider_table(provider, use_refresh_token=True, **options)
        return serve_with(serve, tmp_path, table)

    return started


def let_access_end(server: LocalServer) -> None:
    """Lets the access of all sessions of providers end a second ago."""
    with closing(SqliteStore(server.store)) as store:
        for session in store.sessions():
            if session.access_expires_at:
                ended = replace(session, access_expires_at=session.created_at - 1)
                store.upkeep(lambda tx, it=ended: tx.put_session(it))  # type: ignore[misc]


@pytest.mark.slow
def test_a_refresh_that_says_nothing_changes_no_rights(
    start: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    del provider.discovery["userinfo_endpoint"]
    server = start(groups_attribute_path="groups", db_mapping=["staff:shop:READ"])
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.change(provider.token_path, {}, without=("id_token",))
    let_access_end(server)
    assert visitor.get("/api/whoami").json["grants"] == {"shop": "READ"}
    # What it does say counts.
    provider.accounts["ann"]["groups"] = []
    let_access_end(server)
    assert visitor.get("/api/whoami").json["grants"] == {}


def test_a_refresh_that_says_nothing_is_no_member_of_a_group(
    start: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    del provider.discovery["userinfo_endpoint"]
    server = start(allowed_groups=["staff"])
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.change(provider.token_path, {}, without=("id_token",))
    let_access_end(server)
    assert visitor.get("/api/whoami").status == 401


def test_a_provider_that_is_slow_is_given_up_before_another_worker_may_ask(
    start: Callable[..., LocalServer], provider: FakeOpenID, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * 10 < REFRESH_SECONDS < LEASE_SECONDS  # two requests of at most 10 s
    monkeypatch.setattr("headgate_server.auth.oauth.access_refresh.REFRESH_SECONDS", 0.2)
    server = start()
    visitor = Visitor(server)
    come_back(visitor, provider)
    provider.say(provider.token_path, Said(200, b"{}", {}, 3))
    let_access_end(server)
    assert visitor.get("/api/whoami").status == 200  # `refresh-stale-if-error`
    assert "no answer within 0 s" in server.log()
    with closing(SqliteStore(server.store)) as store:
        (session,) = (one for one in store.sessions() if one.provider)
        tokens = store.session_tokens(session.id)
    assert tokens is not None and (tokens.failures, session.revoked_at) == (1, 0)


@pytest.mark.slow
def test_claims_demote_administrators_but_not_the_last_one(
    start: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start(role_attribute_path="role", allow_assign_admin=True)
    provider.accounts["ann"]["role"] = "GrafanaAdmin"
    visitor = Visitor(server)
    come_back(visitor, provider)
    (root,) = send(server, "GET", "/api/users?name=root").json
    path = f"/api/users/{root['id']}"
    assert send(server, "PUT", f"{path}/disable", cookie=visitor.cookies[COOKIE]).status == 204
    provider.accounts["ann"]["role"] = "Viewer"
    let_access_end(server)
    assert visitor.get("/api/whoami").json["admin"] is True
    come_back(visitor, provider)
    assert visitor.get("/api/whoami").json["admin"] is True
    assert send(server, "PUT", f"{path}/enable", cookie=visitor.cookies[COOKIE]).status == 204
    let_access_end(server)
    assert visitor.get("/api/whoami").json["admin"] is False
