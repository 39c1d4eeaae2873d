"""Sign-ins by SAML: Apache with mod_auth_mellon in front of a server with `[auth.proxy]`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support import ending
from support.account_requests import COOKIE, send
from support.browser import cookies_of
from support.local_server import LocalServer
from support.plain_browser import PlainBrowser
from support.saml import SamlProxy, needs_mellon, sign_in_by_saml
from support.single_sign_on import Open, needs_browser, signed_in_as
from support.sso import table
from support.waiting import free_port

pytestmark = [needs_browser, needs_mellon]
pytest_plugins = ("support.sso_fixtures",)


@dataclass(frozen=True)
class SamlSite:
    """A server, and the proxy in front of it that signs people in."""

    server: LocalServer
    proxy: SamlProxy


@pytest.fixture
def site(start_saml: Callable[..., SamlProxy], tmp_path: Path) -> Iterator[SamlSite]:
    port = free_port()
    proxy = start_saml(port)
    path = tmp_path / "headgate.toml"
    values = {"enabled": True, "whitelist": ["127.0.0.1"], "header-name": "X-WEBAUTH-USER"}
    path.write_text(table("http", {"base-url": proxy.url}) + table("auth.proxy", values), "utf-8")
    server = LocalServer(tmp_path / "users.db", ("--config", str(path)), port=port).start()
    yield SamlSite(server.bootstrap("CREATE DATABASE shop"), proxy)
    ending.end([server])


def test_a_browser_comes_in_by_saml_and_gets_no_session(site: SamlSite, opened: Open) -> None:
    page = opened()
    page.goto(f"{site.proxy.url}/console/account")
    page.get_by_label("Login").fill("ann")
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{site.proxy.url}/console/account")
    assert signed_in_as(page) == "ann"
    expect(page.get_by_role("region", name="What you may do")).to_contain_text("Nothing yet.")
    assert COOKIE not in cookies_of(page)
    [ann] = send(site.server, "GET", "/api/users?name=ann").json
    assert (ann["admin"], ann["grants"]) == (False, {})
    site.server.query("GRANT READ ON shop TO ann")
    page.reload()
    expect(page.get_by_role("region", name="What you may do")).to_contain_text("READ")


def test_a_header_of_the_client_is_replaced_by_that_of_the_proxy(site: SamlSite) -> None:
    browser = PlainBrowser({"X-WEBAUTH-USER": "root"})
    page = sign_in_by_saml(f"{site.proxy.url}/api/whoami", "ann", browser)
    assert page.status == 200 and '"ann"' in page.text and "root" not in page.text
    browser.follow(f"{site.proxy.url}/mellon/logout?ReturnTo={site.proxy.url}/", {}, _at_end)
    left = browser.request(f"{site.proxy.url}/api/whoami")
    assert left.status == 303 and "/mellon/login" in left.location


def _at_end(url: str) -> bool:
    return url.endswith("/") and "/mellon/" not in url
