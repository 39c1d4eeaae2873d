"""The console in Debian's chromium: with and without JavaScript, by keyboard, checked by axe."""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from support.account_requests import send
from support.axe import NPM, axe_script, check_page
from support.browser import (
    ANN,
    CHROMIUM,
    Messages,
    base_of,
    chromium,
    context_of,
    enter,
    fill,
    focused,
    open_page,
    press_until,
)
from support.local_server import LocalServer
from support.servers import ROOT

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and NPM) and not os.environ.get("CI"),
    reason="Debian's chromium and npm are not installed",
)
ADMIN_PAGES = (
    *("/console/", "/console/?name=nix", "/console/users", "/console/users?state=disabled"),
    *("/console/users/1", "/console/users/2", "/console/users/new", "/console/databases"),
    *("/console/databases?db=nix", "/console/databases/3", "/console/databases/1"),
    *("/console/keys", "/console/keys?user=bob", "/console/keys/new?user=ann"),
    *("/console/sessions", "/console/audit", "/console/audit?text=nix", "/console/account"),
    *("/console/users/999", "/login"),
)
# Pages of each kind, for further widths and colours.
NARROW_PAGES = (
    *("/console/", "/console/users/2", "/console/databases/3", "/console/keys"),
    *("/console/keys/new?user=ann", "/console/sessions", "/console/audit", "/login"),
)
OWN_PAGES = (
    *("/console/", "/console/keys", "/console/keys/new", "/console/sessions"),
    *("/console/account", "/console/users"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "Debian's chromium must be installed"
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    return axe_script(tmp_path_factory)


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    fill(server)
    return server


@pytest.fixture
def messages() -> Iterator[Messages]:
    found = Messages()
    yield found
    assert not found


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_axe_finds_nothing_on_any_page(
    browser: Browser, running: LocalServer, axe: str, messages: Messages, scheme: str, width: int
) -> None:
    pages = ADMIN_PAGES if width > 320 else NARROW_PAGES
    for login, paths in ((ROOT, pages), (ANN, OWN_PAGES)):
        page = open_page(
            browser,
            running,
            messages,
            login,
            viewport={"width": width, "height": 700},
            color_scheme=scheme,
            reduced_motion="reduce",
            bypass_csp=True,
        )
        for path in paths:
            page.goto(base_of(running) + path)
            check_page(page, axe)
        page.context.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_newcomer_grants_revokes_makes_a_key_and_finds_it_in_the_audit(
    browser: Browser, running: LocalServer, messages: Messages, scripts: bool
) -> None:
    page = open_page(browser, running, messages, java_script_enabled=scripts)
    page.get_by_role("link", name="bob", exact=True).click()
    page.get_by_role("group", name="telegraf").get_by_label("WRITE").check()
    if scripts:
        expect(page.locator(".runs pre")).to_have_text("GRANT WRITE ON telegraf TO bob")
    page.get_by_role("button", name="Save rights").click()
    expect(page.get_by_role("status")).to_contain_text("GRANT WRITE ON telegraf TO bob")
    assert running.query("SHOW GRANTS FOR bob").rows() == [["shop", "READ"], ["telegraf", "WRITE"]]
    page.get_by_role("group", name="shop").get_by_label("none").check()
    page.get_by_role("button", name="Save rights").click()
    expect(page.get_by_role("status")).to_contain_text("REVOKE ALL PRIVILEGES ON shop FROM bob")
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name of the key").fill("writer")
    page.get_by_role("group", name="telegraf").get_by_label("WRITE").check()
    page.get_by_role("button", name="Make key").click()
    text = page.get_by_label("The key. It is not shown again").input_value()
    running.secrets.add(text)
    assert running.query("SHOW DATABASES", ("bob", text)).rows() == [["telegraf"]]
    page.get_by_role("link", name="Audit").click()
    expect(page.locator(".timeline li").first).to_contain_text("key writer of bob made")
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_role("button", name="Revoke writer").click()
    expect(page.get_by_role("status")).to_contain_text("Key revoked.")
    assert running.query("SHOW DATABASES", ("bob", text)).status == 401
    revoke = "Revoke the key writer of bob? Programs that use it are refused at once."
    assert messages.asked == ([revoke] if scripts else [])
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    page.context.close()


def test_everything_can_be_done_by_keyboard(
    browser: Browser, running: LocalServer, messages: Messages
) -> None:
    page = context_of(browser).new_page()
    messages.watch(page)
    page.goto(f"{base_of(running)}/console/")
    assert focused(page) == "User name"
    page.keyboard.type(ROOT[0])
    page.keyboard.press("Tab")
    page.keyboard.type(ROOT[1])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(running)}/console/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    assert focused(page) == "Users"
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/console/\?name=bob&db="))
    press_until(page, "bob")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert focused(page) == "READ", "bob's cell of shop"
    page.keyboard.press("ArrowUp")
    assert focused(page) == "shop"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/console/users/3\?first=shop"))
    press_until(page, "READ")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "WRITE"
    press_until(page, "Save rights")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(running)}/console/users/3")
    assert "Rights changed." in page.evaluate("document.activeElement.innerText")
    assert running.query("SHOW GRANTS FOR bob").rows() == [["shop", "WRITE"]]
    press_until(page, "Drop this user permanently")
    page.keyboard.press("Enter")
    press_until(page, "Type the name to confirm")
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_of(running)}/console/users")
    assert "DROP USER bob" in page.evaluate("document.activeElement.innerText")
    page.context.close()


HOSTILE = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" autofocus onfocus="alert(1)'),
    *("\u202edetrever", "a\x1b]0;title\x07b", "n" * 1024, "javascript:alert(1)", "{{config}}"),
)


def test_hostile_names_are_text_in_the_browser(
    browser: Browser, running: LocalServer, messages: Messages
) -> None:
    ids = []
    for name in HOSTILE:
        made = send(running, "POST", "/api/users", {"name": name, "grants": {"shop": "READ"}})
        assert made.status == 201, made.body
        ids.append(made.json["id"])
    page = open_page(browser, running, messages, viewport={"width": 390, "height": 800})
    for path in (*NARROW_PAGES, *(f"/console/users/{id}" for id in ids)):
        page.goto(base_of(running) + path)
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0, f"{path} scrolls sideways"
    page.goto(f"{base_of(running)}/console/")
    expect(page.get_by_text(HOSTILE[0])).to_be_visible()
    for name, id in zip(HOSTILE, ids, strict=True):
        page.goto(f"{base_of(running)}/console/users/{id}")
        page.get_by_text("Drop this user permanently").click()
        page.get_by_label("Type the name to confirm").evaluate(
            "(it, text) => it.value = text", name
        )
        page.get_by_role("button", name="Drop user").click()
        expect(page.get_by_role("status")).to_contain_text("User dropped.")
    page.context.close()


@pytest.fixture
def other_site() -> Iterator[Callable[[str], str]]:
    """Pages of another site: `other_site(html)` is the address of a page with this content."""
    pages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages[int(self.path.strip("/") or 0)].encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as sites:
        Thread(target=partial(sites.serve_forever, 0.05), daemon=True).start()

        def address(html: str) -> str:
            pages.append(html)
            # For a browser, localhost is another site than 127.0.0.1.
            return f"http://localhost:{sites.server_address[1]}/{len(pages) - 1}"

        yield address
        sites.shutdown()


@pytest.mark.parametrize("same_site", ["lax", "strict", "none"])
def test_another_site_can_do_nothing_with_the_session(
    browser: Browser,
    serve: Callable[..., LocalServer],
    other_site: Callable[[str], str],
    same_site: str,
) -> None:
    # With `none`, the browser sends the cookie also with the requests of other sites' pages.
    settings = {"HEADGATE_AUTH_COOKIE_SAMESITE": same_site}
    if same_site == "none":
        settings["HEADGATE_AUTH_COOKIE_SECURE"] = "true"
    running = serve(**settings)
    fill(running)
    page = context_of(browser).new_page()
    enter(page, base_of(running))
    target = f"{base_of(running)}/console/databases"
    form = (
        f'<form method="post" action="{target}"><input name="name" value="evil"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    page.goto(other_site(form))
    page.wait_for_url(re.compile(re.escape(base_of(running))))
    assert running.query("SHOW DATABASES").rows() == [
        [name] for name in ("billing", "sensors", "shop", "telegraf", "web")
    ]
    sends = (
        f"fetch('{target}', {{method: 'POST', mode: 'no-cors', credentials: 'include',"
        " headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: 'name=evil'})"
    )
    page.goto(other_site("<p>a page</p>"))
    assert page.evaluate(f"{sends}.then(it => it.type)") in ("opaque", "opaqueredirect")
    assert len(running.query("SHOW DATABASES").rows()) == 5
    login = (
        f'<form method="post" action="{base_of(running)}/login">'
        '<input name="username" value="ann"><input name="password" value="pw-ann-1"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    page.goto(other_site(login))
    page.wait_for_url(f"{base_of(running)}/login")
    assert "another web site" in page.inner_text("main")
    page.goto(f"{base_of(running)}/console/")
    assert "root" in page.inner_text("header"), "the person is still signed in as themselves"
    framed = page.context.new_page()
    framed.goto(other_site(f'<iframe src="{base_of(running)}/console/users"></iframe>'))
    assert all("Users" not in (frame.title() or "") for frame in framed.frames)
    page.context.close()


def test_a_page_is_gone_from_the_browser_after_the_sign_out(
    browser: Browser, running: LocalServer, messages: Messages
) -> None:
    page = open_page(browser, running, messages)
    page.goto(f"{base_of(running)}/console/users")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{base_of(running)}/login?signed_out=1")
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.close()


def test_a_form_that_is_sent_after_the_session_has_ended_says_so(
    browser: Browser, running: LocalServer, messages: Messages
) -> None:
    page = open_page(browser, running, messages)
    page.goto(f"{base_of(running)}/console/databases")
    assert send(running, "POST", "/api/sessions/revoke", {"users": ["root"]}).status == 200
    page.get_by_label("Name", exact=True).fill("later")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("the form was not sent")
    assert ["later"] not in running.query("SHOW DATABASES").rows()
    page.context.close()


def test_a_key_is_copied_and_a_password_shown_by_a_button(
    browser: Browser, running: LocalServer, messages: Messages
) -> None:
    page = open_page(browser, running, messages)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{base_of(running)}/console/users/new")
    page.get_by_label("Name", exact=True).fill("dora")
    page.get_by_role("button", name="Create user").click()
    password = page.get_by_label("Password of this user").input_value()
    running.secrets.add(password)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == password
    page.get_by_role("button", name="Sign out").click()
    field = page.get_by_label("Password", exact=True)
    field.fill("typed")
    page.get_by_role("button", name="Show").click()
    assert field.get_attribute("type") == "text"
    expect(page.get_by_role("button", name="Show")).to_have_attribute("aria-pressed", "true")
    page.context.close()
