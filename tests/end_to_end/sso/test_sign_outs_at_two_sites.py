"""Sign-outs reach the provider, and those at the provider reach the server."""

import re

from playwright.sync_api import expect

from support.account_requests import send
from support.browser import base_of
from support.openid_provider import OpenIDProvider
from support.single_sign_on import (
    Open,
    Start,
    at_openid,
    needs_browser,
    sign_in_at_openid,
    sign_in_by_openid,
    signed_in_as,
)
from support.waiting import poll_until

pytestmark = needs_browser
pytest_plugins = ("support.sso_fixtures",)


def test_a_single_sign_out_ends_the_session_at_the_provider_and_comes_back(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server = start('cookie-samesite = "strict"', single_logout=True, auto_login=True)
    base = base_of(server)
    page = opened()
    page.goto(f"{base}/console/")
    sign_in_at_openid(page)
    page.wait_for_url(f"{base}/console/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(at_openid(openid))
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile(re.escape(base) + r"/login\?signed_out=1"))
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    page.goto(f"{base}/console/")
    expect(page.get_by_label("Login")).to_be_visible()


def test_a_sign_out_at_the_provider_ends_the_session_of_this_browser_alone(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server = start()
    page, elsewhere = opened(), opened()
    for one in (page, elsewhere):
        sign_in_by_openid(one, server)
    at_provider = page.context.new_page()
    at_provider.goto(openid.discovery["end_session_endpoint"])
    at_provider.get_by_role("button", name="Sign out").click()
    expect(at_provider.get_by_role("heading", name="Signed out")).to_be_visible()

    def active() -> int:
        return len(send(server, "GET", "/api/sessions?user=ann").json["sessions"])

    poll_until(lambda: active() == 1, "the logout token did not arrive")
    page.get_by_role("link", name="Keys").click()
    expect(page.get_by_role("status")).to_have_text("Your session has ended. Sign in again.")
    elsewhere.get_by_role("link", name="Keys").click()
    assert signed_in_as(elsewhere) == "ann"
    page.get_by_role("link", name="Continue with Company SSO").click()
    expect(page.get_by_label("Login")).to_be_visible()
