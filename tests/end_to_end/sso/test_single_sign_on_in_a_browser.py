"""Sign-ins by the certified OpenID provider in Debian's chromium, across two sites."""

import pytest
from playwright.sync_api import expect

from support.account_requests import COOKIE
from support.browser import base_of, cookies_of, focused, press_until
from support.openid_provider import PASSWORD, OpenIDProvider
from support.single_sign_on import (
    Open,
    Start,
    at_openid,
    needs_browser,
    sign_in_at_openid,
    sign_in_by_openid,
    signed_in_as,
)

pytestmark = needs_browser
pytest_plugins = ("support.sso_fixtures",)


@pytest.mark.parametrize(("same_site", "scripts"), [("lax", True), ("strict", False)])
def test_a_button_leads_to_the_provider_and_back_to_the_page(
    start: Start, opened: Open, same_site: str, scripts: bool
) -> None:
    server = start(f'cookie-samesite = "{same_site}"')
    page = opened(java_script_enabled=scripts)
    page.goto(f"{base_of(server)}/console/keys?user=ann")
    expect(page.get_by_role("status")).to_have_text("Sign in to see this page.")
    page.get_by_role("link", name="Continue with Company SSO").click()
    sign_in_at_openid(page)
    page.wait_for_url(f"{base_of(server)}/console/keys?user=ann")
    assert signed_in_as(page) == "ann"
    page.go_back()
    page.go_forward()
    assert page.url == f"{base_of(server)}/console/keys?user=ann", "no code and no state"
    cookie = cookies_of(page, base_of(server))[COOKIE]
    assert (cookie["sameSite"], cookie["httpOnly"]) == (same_site.capitalize(), True)
    server.secrets.add(cookie["value"])
    page.get_by_role("link", name="ann").click()
    expect(page.get_by_role("heading", name="Ways to sign in")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    assert COOKIE not in cookies_of(page, base_of(server))


def test_a_refused_sign_in_is_a_page_with_a_sentence_that_leads_nowhere_by_itself(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server, page, asked = start(auto_login=True), opened(), openid.seen
    visited: list[str] = []
    page.on("framenavigated", lambda frame: visited.append(frame.url))
    page.goto(f"{base_of(server)}/console/")
    sign_in_at_openid(page, cancels=True)
    expect(page.get_by_role("heading", name="Not signed in")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("You, or the provider, said no.")
    assert page.url.startswith(f"{base_of(server)}/login/corp/callback?")
    assert COOKIE not in cookies_of(page)
    page.get_by_role("link", name="To the sign-in page").click()
    page.wait_for_url(f"{base_of(server)}/login?disableAutoLogin")
    expect(page.get_by_role("link", name="Continue with Company SSO")).to_be_visible()
    assert len(visited) <= 3, "the provider, the refusal, the sign-in page"
    page.goto(f"{base_of(server)}/login/corp/callback?state=old&code=c")
    expect(page.get_by_role("main")).to_contain_text("This sign-in was not begun here")
    assert openid.seen == asked, "no request for tokens"


def test_several_tabs_sign_in_at_once(start: Start, opened: Open) -> None:
    server, first = start(), opened()
    tabs = [first, first.context.new_page()]
    pages = ("keys", "sessions")
    for tab, name in zip(tabs, pages, strict=True):
        tab.goto(f"{base_of(server)}/console/{name}")
        tab.get_by_role("link", name="Continue with Company SSO").click()
        expect(tab.get_by_label("Login")).to_be_visible()
    for tab, name in reversed(list(zip(tabs, pages, strict=True))):
        sign_in_at_openid(tab, consents=tab is tabs[-1])
        tab.wait_for_url(f"{base_of(server)}/console/{name}")
        assert signed_in_as(tab) == "ann"
    first.reload()
    assert signed_in_as(first) == "ann"
    names = set(cookies_of(first, base_of(server)))
    assert names == {COOKIE}, "no cookie of a sign-in on its way is left"


def test_auto_login_leads_to_the_provider_but_not_after_the_sign_out(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server, page = start(auto_login=True), opened()
    page.goto(f"{base_of(server)}/login?disableAutoLogin")
    expect(page.get_by_label("User name")).to_be_visible()
    page.goto(f"{base_of(server)}/console/account")
    page.wait_for_url(at_openid(openid))
    sign_in_at_openid(page)
    page.wait_for_url(f"{base_of(server)}/console/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    assert page.url == f"{base_of(server)}/login?signed_out=1"
    # The session at the provider goes on, so that a visit of a page signs in without a question.
    page.goto(f"{base_of(server)}/console/sessions")
    page.wait_for_url(f"{base_of(server)}/console/sessions")
    assert signed_in_as(page) == "ann"


def test_a_sign_in_ends_at_a_page_of_the_console(start: Start, opened: Open) -> None:
    server, page = start('cookie-samesite = "strict"'), opened()
    sign_in_by_openid(page, server)
    for asked in ("//localhost/evil", "/%5Clocalhost"):
        page.goto(f"{base_of(server)}/login?redirect={asked}")
        page.wait_for_url(f"{base_of(server)}/console/")  # signed in already
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{base_of(server)}/login?redirect={asked}")
        page.get_by_role("link", name="Continue with Company SSO").click()
        page.wait_for_url(f"{base_of(server)}/console/")
        assert signed_in_as(page) == "ann"


def test_the_keyboard_alone_signs_in_by_a_provider(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server, page = start("signup-enabled = true"), opened()
    page.goto(f"{base_of(server)}/console/")
    assert focused(page) == "User name"
    press_until(page, "Continue with Company SSO", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(at_openid(openid))
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Consent").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(server)}/console/")
    press_until(page, "Sign out")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(server)}/login?signed_out=1")
