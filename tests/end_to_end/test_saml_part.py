"""Apache with mod_auth_mellon and a SAML identity provider: the recipe for the auth proxy."""

import os
from collections.abc import Callable, Iterator

import pytest

from support.browser import CHROMIUM, chromium, context_of
from support.plain_browser import PlainBrowser, fetched
from support.recorder_upstream import Recorder, recorder
from support.saml import SamlProxy, needs_mellon, sign_in_by_saml

pytestmark = needs_mellon
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="Debian's chromium is not installed"
)


@pytest.fixture
def backend() -> Iterator[Recorder]:
    """The server behind the proxy."""
    with recorder() as found:
        yield found


@pytest.fixture
def proxy(start_saml: Callable[..., SamlProxy], backend: Recorder) -> SamlProxy:
    return start_saml(int(backend.url.rpartition(":")[2]))


def test_the_proxied_request_has_the_user_in_a_header(proxy: SamlProxy, backend: Recorder) -> None:
    page = sign_in_by_saml(f"{proxy.url}/console/?a=b", "ann")
    assert (page.status, page.url) == (200, f"{proxy.url}/console/?a=b"), proxy.log()
    [heard] = backend.heard
    assert heard.target == "/console/?a=b"
    assert heard.all("X-WEBAUTH-USER") == ["ann"]
    assert heard.all("X-WEBAUTH-NAME") == ["Ann Archer"]
    assert heard.all("X-WEBAUTH-EMAIL") == ["ann@example.com"]
    assert heard.all("X-WEBAUTH-GROUPS") == ["staff,editors"]


@needs_chromium
def test_a_browser_signs_in_across_two_sites(proxy: SamlProxy, backend: Recorder) -> None:
    with chromium() as browser:
        page = context_of(browser).new_page()
        page.goto(f"{proxy.url}/console/")
        page.get_by_label("Login").fill("ann")
        page.get_by_label("Password").fill("any")
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{proxy.url}/console/")
    assert backend.heard[0].all("X-WEBAUTH-USER") == ["ann"]


def test_a_header_of_the_client_does_not_get_through(proxy: SamlProxy, backend: Recorder) -> None:
    spoofed = {"X-WEBAUTH-USER": "root", "X-Webauth-Groups": "admins"}
    sign_in_by_saml(f"{proxy.url}/", "ann", PlainBrowser(spoofed))
    [heard] = backend.heard
    assert heard.all("X-WEBAUTH-USER") == ["ann"]
    assert heard.all("X-WEBAUTH-GROUPS") == ["staff,editors"]


def test_nothing_gets_through_without_a_sign_in(proxy: SamlProxy, backend: Recorder) -> None:
    assert fetched(f"{proxy.url}/api/whoami").location.startswith(f"{proxy.url}/mellon/login")
    with pytest.raises(AssertionError, match="403"):
        sign_in_by_saml(f"{proxy.url}/", "mallory")
    assert not backend.heard


def test_a_sign_out_at_the_proxy_ends_its_session(proxy: SamlProxy, backend: Recorder) -> None:
    browser = PlainBrowser()
    sign_in_by_saml(f"{proxy.url}/", "ann", browser)
    assert browser.request(f"{proxy.url}/again").status == 200
    browser.follow(f"{proxy.url}/mellon/logout?ReturnTo={proxy.url}/", {}, _at_root(proxy))
    assert browser.request(f"{proxy.url}/again").status == 303
    assert [heard.target for heard in backend.heard] == ["/", "/again"]


def _at_root(proxy: SamlProxy) -> Callable[[str], bool]:
    return lambda url: url == f"{proxy.url}/"
