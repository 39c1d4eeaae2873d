"""Attacks on links between accounts: by pages of other sites, and in other browsers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.account_requests import COOKIE
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.servers import ROOT
from support.sso import come_back, path_of, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


@pytest.fixture
def start(serve: Serve, tmp_path: Path, provider: FakeOpenID) -> Callable[..., Visitor]:
    """Starts a server with these settings of `[auth]`, and signs its user todd in."""

    def started(auth: str = "") -> Visitor:
        server = serve_with(serve, tmp_path, provider_table(provider), auth=auth)
        server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)
        return Visitor(server, "todd", "pw-todd-1")

    return started


def callback_of(visitor: Visitor, provider: FakeOpenID) -> str:
    """Begins a link as *visitor*; returns the callback of the account ann."""
    url = visitor.get("/login/corp?link=1").headers["Location"]
    return path_of(provider.sign_in(url, "ann"))


def linked(visitor: Visitor) -> list[str]:
    """Returns the subjects of the accounts that *visitor* comes in by."""
    return [one["subject"] for one in visitor.get("/api/user/identities").json]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_page_of_another_site_begins_a_link(start: Callable[..., Visitor], site: str) -> None:
    todd = start()
    answer = todd.get("/login/corp?link=1", Sec_Fetch_Site=site)
    assert answer.status == 403 and "account page" in page_text(answer)
    assert not [name for name in todd.cookies if name != COOKIE]
    assert todd.get("/login/corp", Sec_Fetch_Site=site).status == 302


@pytest.mark.parametrize("own", [False, True], ids=["signed out", "as another user"])
@pytest.mark.parametrize(
    ("auth", "cookie"), [("", COOKIE), ('cookie-samesite = "none"', f"__Host-{COOKIE}")]
)
def test_a_link_ends_in_the_browser_that_began_it(
    start: Callable[..., Visitor], provider: FakeOpenID, auth: str, cookie: str, own: bool
) -> None:
    todd = start(auth)
    callback = callback_of(todd, provider)
    victim = Visitor(todd.server)
    if own:
        come_back(victim, provider, "ann")
    session = todd.cookies.pop(cookie)
    victim.cookies |= todd.cookies
    assert victim.get(callback).status == 403
    todd.cookies[cookie] = session
    assert linked(todd) == []


def test_a_strict_cookie_is_not_sent_to_the_callback_of_a_link(
    start: Callable[..., Visitor], provider: FakeOpenID
) -> None:
    todd = start('cookie-samesite = "strict"')
    callback = callback_of(todd, provider)
    session = todd.cookies.pop(COOKIE)
    assert todd.get(callback).status == 200
    todd.cookies[COOKIE] = session
    assert linked(todd) == ["ann"]
