"""Sessions by a provider, whose access the certified OpenID provider confirms or refuses."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.account_requests import send
from support.browser import base_of
from support.local_server import LocalServer
from support.openid_provider import OpenIDProvider
from support.server_process import ServerProcess
from support.single_sign_on import (
    Open,
    Start,
    change_sessions,
    needs_browser,
    sign_in_by_openid,
    signed_in_as,
)
from support.waiting import free_port

pytestmark = needs_browser
pytest_plugins = ("support.sso_fixtures",)

_RIGHTS = {
    "use_refresh_token": True,
    "groups_attribute_path": "groups",
    "db_mapping": ["staff:shop:READ", "ops:shop:WRITE"],
}


@pytest.fixture
def signed_in(start: Start, opened: Open) -> tuple[LocalServer, Page]:
    """A server whose provider confirms access, and a browser in which ann is signed in."""
    server, page = start(**_RIGHTS), opened()
    sign_in_by_openid(page, server)
    return server, page


def refreshes(provider: OpenIDProvider, before: int = 0) -> list[int]:
    """Returns the statuses of the requests with refresh tokens, without the first *before*."""
    seen = [it["status"] for it in provider.seen if it["grant_type"] == "refresh_token"]
    return seen[before:]


def expire_access(server: LocalServer, seconds: int = 1) -> None:
    """Lets the access of ann's sessions end *seconds* ago."""
    change_sessions(server, "ann", access_expires_at=int(time.time()) - seconds)


def click(page: Page, link: str) -> None:
    """Follows *link* in the menu, and waits for its page."""
    page.get_by_role("banner").get_by_role("link", name=link, exact=True).click()
    path = {"Access": "", "ann": "account"}.get(link, link.lower())
    page.wait_for_url(re.compile(f"/console/{path}$"))


def rights(page: Page) -> str:
    """Returns what the account page says about the rights."""
    click(page, "ann")
    return page.get_by_role("region", name="What you may do").inner_text()


@pytest.fixture
def second(
    signed_in: tuple[LocalServer, Page], tmp_path: Path
) -> Iterator[Callable[[], ServerProcess]]:
    """Starts another process on the same store."""
    server, _ = signed_in
    process = ServerProcess(
        server.store, server.flags, port=free_port(), beside=tmp_path / "second", fresh=False
    )
    yield process.start
    if process.running():
        process.stop()


def test_the_next_click_asks_the_provider_once_and_the_rights_follow_the_groups(
    signed_in: tuple[LocalServer, Page],
    second: Callable[[], ServerProcess],
    openid: OpenIDProvider,
) -> None:
    server, page = signed_in
    before = len(refreshes(openid))
    assert "READ" in rights(page)
    assert not refreshes(openid, before)
    click(page, "Keys")
    openid.set_claims("ann", groups=["ops"])
    expire_access(server)
    assert "WRITE" in rights(page)
    click(page, "Sessions")
    assert refreshes(openid, before) == [200]
    # Two processes share the store, and the browser sends its cookie to both at the same time.
    other = second()
    tabs = [page, page.context.new_page()]
    addresses = [f"{base_of(it)}/console/account" for it in (server, other)]
    tabs[1].goto(addresses[1])
    openid.set_claims("ann", groups=["staff"])
    expire_access(server)
    for tab, address in zip(tabs, addresses, strict=True):
        tab.evaluate("address => { setTimeout(() => { location.href = address; }, 0); }", address)
    for tab, address in zip(tabs, addresses, strict=True):
        tab.wait_for_url(address)
        expect(tab.get_by_role("region", name="What you may do")).to_contain_text("READ")
    assert refreshes(openid, before) == [200, 200]


def test_a_removed_account_is_signed_out_at_the_next_click(
    signed_in: tuple[LocalServer, Page], openid: OpenIDProvider
) -> None:
    server, page = signed_in
    before = len(refreshes(openid))
    openid.remove_account("ann")
    click(page, "Keys")
    assert signed_in_as(page) == "ann", "the access has not expired yet"
    expire_access(server)
    page.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("status")).to_have_text("Your session has ended. Sign in again.")
    assert refreshes(openid, before) == [400]
    assert send(server, "GET", "/api/sessions?user=ann").json["sessions"] == []
    page.goto(f"{base_of(server)}/console/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_outlives_a_provider_that_does_not_answer(
    signed_in: tuple[LocalServer, Page], openid: OpenIDProvider
) -> None:
    server, page = signed_in
    before = len(refreshes(openid))
    openid.fail_token_requests(1000, status=503)
    expire_access(server)
    for link in ("Keys", "Sessions", "Access"):
        click(page, link)
        assert signed_in_as(page) == "ann"
    assert refreshes(openid, before) == [503], "the next request comes after a pause"
    expire_access(server, 301)  # more than refresh-stale-if-error
    click(page, "Keys")
    expect(page.get_by_role("heading", name="Busy or away")).to_be_visible()
    assert refreshes(openid, before) == [503, 503]
    openid.fail_token_requests(0)
    expire_access(server, 302)
    page.reload()
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    assert signed_in_as(page) == "ann"
    assert refreshes(openid, before) == [503, 503, 200]
