"""The pages of sign-ins, sign-ups and sign-outs: checked by axe, by keyboard, without scripts."""

import re

from playwright.sync_api import Page, expect

from support.account_requests import send
from support.axe import check_page
from support.browser import base_of, enter, focused, press_until
from support.openid_provider import OpenIDProvider, ProviderClient
from support.single_sign_on import (
    Open,
    Start,
    needs_browser,
    section,
    sign_in_at_openid,
    signed_in_as,
)

pytestmark = needs_browser
pytest_plugins = ("support.sso_fixtures",)
_NEW = ("dora", "a-long-Password-1")
# Of the rules of axe, these depend on colours and sizes.
_LOOKS = ("color-contrast", "target-size", "link-in-text-block")


def check_looks(page: Page, axe: str) -> None:
    """Checks *page* at its widths, light and dark."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    check_page(page, axe, *_LOOKS)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    check_page(page, axe)


def test_axe_finds_nothing_on_the_way_in_and_out(
    start: Start, opened: Open, openid: OpenIDProvider, axe: str
) -> None:
    server = start('signup-enabled = true\ncookie-samesite = "strict"')
    base, page = base_of(server), opened(reduced_motion="reduce", bypass_csp=True)
    for path in ("/login?notice=pending", "/login?again=1", "/login/corp/callback?state=old"):
        page.goto(base + path)
        check_looks(page, axe)
    page.goto(f"{base}/signup")
    check_looks(page, axe)
    fill_sign_up(page, again="another password")
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("alert")).to_have_text("The two passwords differ.")
    check_looks(page, axe)
    # The page that moves on stays, because the answer to its next request is empty.
    page.route(re.compile("/console/$"), lambda route: route.fulfill(status=204))
    page.goto(f"{base}/login/corp")
    sign_in_at_openid(page)
    expect(page.get_by_role("heading", name="One moment")).to_be_visible()
    check_looks(page, axe)
    page.unroute_all()
    page.goto(f"{base}/console/account")
    expect(page.get_by_role("region", name="Ways to sign in")).to_contain_text("Company SSO")
    check_looks(page, axe)
    page.goto(f"{openid.issuer}/.well-known/openid-configuration")
    page.evaluate("address => { location.href = address; }", f"{base}/logout")
    expect(page.get_by_role("heading", name="Sign out?")).to_be_visible()
    check_looks(page, axe)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")


def test_axe_finds_nothing_on_a_sign_in_page_with_providers_alone(
    start: Start, openid: OpenIDProvider, opened: Open, axe: str
) -> None:
    other = section(openid, ProviderClient(), "other", title="A company with a longer name")
    server = start("disable-login-form = true", other)
    page = opened(reduced_motion="reduce", bypass_csp=True)
    page.goto(f"{base_of(server)}/login")
    expect(page.get_by_role("link", name=re.compile("Continue with"))).to_have_count(2)
    expect(page.get_by_label("Password")).to_have_count(0)
    check_looks(page, axe)


def fill_sign_up(page: Page, again: str = _NEW[1]) -> None:
    """Fills the form of the sign-up page."""
    page.get_by_label(re.compile("^User name")).fill(_NEW[0])
    page.get_by_label(re.compile("^Password \\(")).fill(_NEW[1])
    page.get_by_label("Password, once more").fill(again)
    page.get_by_label(re.compile("^Full name")).fill("Dora Drew")


def test_a_sign_up_waits_for_its_approval_without_scripts(start: Start, opened: Open) -> None:
    server, page = start("signup-enabled = true"), opened(java_script_enabled=False)
    page.goto(f"{base_of(server)}/login")
    page.get_by_role("link", name="Create an account").click()
    fill_sign_up(page)
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("status")).to_contain_text("Your account waits for an administrator.")
    [dora] = send(server, "GET", "/api/users?name=dora").json
    administrator = opened()
    enter(administrator, base_of(server))
    administrator.goto(f"{base_of(server)}/console/users/{dora['id']}")
    administrator.get_by_role("button", name="Approve").click()
    expect(administrator.get_by_role("status")).to_contain_text("Account approved")
    enter(page, base_of(server), *_NEW)
    assert signed_in_as(page) == "dora"


def test_the_keyboard_alone_signs_up(start: Start, opened: Open) -> None:
    auth = "signup-enabled = true\nsignup-require-approval = false"
    server, page = start(auth), opened()
    page.goto(f"{base_of(server)}/login")
    press_until(page, "Create an account")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(server)}/signup")
    assert focused(page).startswith("User name")
    page.keyboard.type(_NEW[0])
    page.keyboard.press("Tab")
    page.keyboard.type(_NEW[1])
    press_until(page, "Password, once more")
    page.keyboard.type(_NEW[1])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(server)}/login?notice=created")
    assert focused(page) == "User name"
    page.keyboard.type(_NEW[0])
    page.keyboard.press("Tab")
    page.keyboard.type(_NEW[1])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(server)}/console/")
    assert signed_in_as(page) == "dora"
