"""Attacks on the endpoint at which a provider ends sessions, and by dates beyond any date."""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.servers import Answer
from support.sso import come_back

pytest_plugins = ("support.fake_openid_fixtures",)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def logout(server: LocalServer, token: str) -> Answer:
    body = urlencode({"logout_token": token}).encode()
    return server.request("POST", "/login/corp/backchannel-logout", body, FORM)


@pytest.mark.slow
def test_a_flood_of_logout_tokens_is_verified_in_part(
    start_server: Callable[..., LocalServer], provider: FakeOpenID, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("headgate_server.auth.oauth.registry.time", clock)
    server = start_server()
    statuses = Counter(logout(server, "a.b.c").status for _ in range(30))
    assert statuses == {400: 20, 429: 10}
    now[0] += 1
    assert logout(server, provider.logout_token("ann")).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("exp", [1e300, 10**30])
def test_a_logout_token_may_end_beyond_any_date(
    start_server: Callable[..., LocalServer], provider: FakeOpenID, exp: float
) -> None:
    server = start_server()
    visitor = Visitor(server)
    come_back(visitor, provider)
    token = provider.logout_token("ann", exp=exp)
    assert logout(server, token).status == 200
    assert visitor.get("/api/user").status == 401
    assert logout(server, token).status == 400  # used before


@pytest.mark.parametrize("exp", [1e300, 10**30])
def test_an_id_token_may_end_beyond_any_date(
    start_server: Callable[..., LocalServer], provider: FakeOpenID, exp: float
) -> None:
    server = start_server(session_ends_with_token=True)
    provider.change_id_token({"exp": exp})
    visitor = Visitor(server)
    assert come_back(visitor, provider).status == 303
    assert visitor.get("/api/user").json["name"] == "ann"
