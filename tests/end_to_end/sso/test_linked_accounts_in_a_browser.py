"""People link and unlink their accounts at the provider, and sign in again for it."""

import re
import time

from playwright.sync_api import expect

from support.account_requests import send
from support.browser import base_of, enter
from support.openid_provider import OpenIDProvider
from support.single_sign_on import (
    Open,
    Start,
    at_openid,
    change_sessions,
    needs_browser,
    sign_in_at_openid,
    sign_in_by_openid,
    signed_in_as,
)

pytestmark = needs_browser
pytest_plugins = ("support.sso_fixtures",)
_BOB = ("bob", "pw-bob-12")
_AGAIN = re.compile("Sign in again")


def _long_ago() -> int:
    return int(time.time()) - 16 * 60


def test_a_person_links_an_account_signs_in_by_it_and_unlinks_it(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    server = start('cookie-samesite = "strict"', allow_sign_up=False)
    server.query(f"CREATE USER {_BOB[0]} WITH PASSWORD '{_BOB[1]}'")
    base, page = base_of(server), opened()
    account = f"{base}/console/account"
    enter(page, base, *_BOB)
    # A link needs a recent sign-in: by the password, because there is no other way in yet.
    change_sessions(server, "bob", auth_at=_long_ago())
    page.goto(account)
    page.get_by_role("link", name="Link Company SSO").click()
    expect(page.get_by_role("status")).to_have_text(_AGAIN)
    page.get_by_label("User name").fill(_BOB[0])
    page.get_by_label("Password", exact=True).fill(_BOB[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(account)
    page.get_by_role("link", name="Link Company SSO").click()
    sign_in_at_openid(page)
    page.wait_for_url(account)
    ways = page.get_by_role("region", name="Ways to sign in")
    expect(ways).to_contain_text("Company SSO")
    expect(page.get_by_role("link", name="Link Company SSO")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Continue with Company SSO").click()
    page.wait_for_url(f"{base}/console/")
    assert signed_in_as(page) == "bob", "the provider remembers the browser"
    # Unlinking needs a recent sign-in, too: by the provider, which asks for the password again.
    change_sessions(server, "bob", auth_at=_long_ago())
    page.goto(account)
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("status")).to_have_text(_AGAIN)
    page.get_by_role("link", name="Continue with Company SSO").click()
    page.wait_for_url(at_openid(openid))
    sign_in_at_openid(page, consents=False)
    page.wait_for_url(account)
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("status")).to_contain_text("Unlinked.")
    assert len(send(server, "GET", "/api/sessions?user=bob").json["sessions"]) == 1
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Continue with Company SSO").click()
    expect(page.get_by_role("main")).to_contain_text("Sign-up is disabled.")


def test_a_change_of_the_address_needs_a_sign_in_by_the_same_account(
    start: Start, opened: Open, openid: OpenIDProvider
) -> None:
    openid.set_claims("carla", preferred_username="carla")
    server, page = start(), opened()
    base = base_of(server)
    sign_in_by_openid(page, server, "/console/account")
    for login, consents in (("ann", False), ("carla", True)):
        change_sessions(server, "ann", auth_at=_long_ago())
        page.get_by_label("E-mail").fill(f"{login}@example.org")
        page.get_by_role("button", name="Save profile").click()
        expect(page.get_by_role("status")).to_have_text(_AGAIN)
        page.get_by_role("link", name="Continue with Company SSO").click()
        sign_in_at_openid(page, login, consents=consents)
        if login == "ann":
            page.wait_for_url(f"{base}/console/account")
            page.get_by_label("E-mail").fill("ann@example.org")
            page.get_by_role("button", name="Save profile").click()
            expect(page.get_by_role("status")).to_have_text("Profile saved.")
    expect(page.get_by_role("main")).to_contain_text("This account is of another user.")
    assert send(server, "GET", "/api/users?name=carla").json == [], "no new user"
    # At the provider, the sign-in by carla has ended the session of ann, and so it has here.
    page.goto(f"{base}/console/account")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_linked_account_belongs_to_one_user(start: Start, opened: Open) -> None:
    server, page = start(), opened()
    server.query(f"CREATE USER {_BOB[0]} WITH PASSWORD '{_BOB[1]}'")
    sign_in_by_openid(page, server, "/console/account")
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("alert")).to_contain_text("only way to sign in")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("signed_out"))
    enter(page, base_of(server), *_BOB)
    page.goto(f"{base_of(server)}/console/account")
    page.get_by_role("link", name="Link Company SSO").click()
    expect(page.get_by_role("main")).to_contain_text("This identity belongs to another user.")
    page.get_by_role("link", name="To your account").click()
    page.wait_for_url(f"{base_of(server)}/console/account")
    assert signed_in_as(page) == "bob"
    names = {it["name"]: it["id"] for it in send(server, "GET", "/api/users").json}
    assert send(server, "GET", f"/api/users/{names['bob']}/identities").json == []
