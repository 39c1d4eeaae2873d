"""Debian's chromium, driven by Playwright, and a server with data for the console's pages."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

from support.account_requests import make_key, send, sign_in
from support.servers import ROOT, Server

CHROMIUM = shutil.which("chromium") or ""
# Without these, chromium calls its maker's servers, which a test machine may not reach.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_TIMEOUT_MILLISECONDS = 20_000
# A page that answers 403 or 503 is itself such a message.
_EXPECTED = re.compile(
    "Failed to load resource: the server responded with a status of (40[0-9]|50[23])"
)
STATEMENTS = (
    *(f"CREATE DATABASE {name}" for name in ("billing", "sensors", "shop", "telegraf", "web")),
    *(
        f"CREATE USER {name} WITH PASSWORD 'pw-{name}-1'"
        for name in ("ann", "bob", "carla", "grafana", "telegraf")
    ),
    *("GRANT READ ON billing TO ann", "GRANT ALL ON shop TO ann", "GRANT READ ON telegraf TO ann"),
    *("GRANT WRITE ON telegraf TO telegraf", "GRANT READ ON shop TO grafana"),
    *("GRANT READ ON telegraf TO grafana", "GRANT READ ON shop TO bob"),
)
ANN = ("ann", "pw-ann-1")


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser of its own. Assertions wait as long as pages do: the machine may be busy."""
    expect.set_options(timeout=_TIMEOUT_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS, *flags])
        yield browser
        browser.close()


def fill(server: Server) -> None:
    """Creates databases, users, keys and sessions, as a team would have them."""
    server.bootstrap(*STATEMENTS)
    for content in (
        {"name": "telegraf-eu", "user": "telegraf", "grants": {"telegraf": "WRITE"}},
        {"name": "dashboards", "user": "grafana", "role": "Viewer", "ttlSeconds": 7_000_000},
        {"name": "nightly report", "user": "ann", "grants": {"shop": "READ"}, "ttlSeconds": 90_000},
    ):
        make_key(server, content)
    profile = {"email": "ann@example.com", "emailVerified": True, "fullName": "Ann Archer"}
    users = {it["name"]: it["id"] for it in send(server, "GET", "/api/users").json}
    assert send(server, "PATCH", f"/api/users/{users['ann']}", profile).status == 200
    assert send(server, "PUT", f"/api/users/{users['carla']}/disable").status == 204
    sign_in(server, *ANN)
    server.query("SHOW USERS", ANN)


def base_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def enter(page: Page, base: str, name: str = ROOT[0], password: str = ROOT[1]) -> None:
    """Signs in on the page, and waits for the first page."""
    page.goto(f"{base}/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{base}/console/")


def context_of(browser: Browser, **options: Any) -> BrowserContext:
    """A browser context, in which a page waits at most 20 seconds for anything."""
    context = browser.new_context(**options)
    context.set_default_timeout(_TIMEOUT_MILLISECONDS)
    return context


class Messages(list[str]):
    """What pages write to the console of the browser: a violation of their policy, an error.

    *asked* has the questions of the pages, which are answered with yes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", lambda it: self._add(it.type, it.text))
        page.on("pageerror", lambda it: self._add("error", str(it)))
        page.on("dialog", self._answer)

    def _answer(self, dialog: Dialog) -> None:
        if dialog.type == "confirm":
            self.asked.append(dialog.message)
        else:
            self._add("error", f"{dialog.type}: {dialog.message}")
        dialog.accept()

    def _add(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not _EXPECTED.match(text):
            self.append(text)


def open_page(
    browser: Browser,
    server: Server,
    messages: Messages,
    login: tuple[str, str] = ROOT,
    **options: object,
) -> Page:
    page = context_of(browser, **options).new_page()
    messages.watch(page)
    enter(page, base_of(server), *login)
    return page


def focused(page: Page) -> str:
    """The words of the element with the focus, which must be marked visibly."""
    words, outline = page.evaluate(
        """() => {
            const found = document.activeElement;
            const words = found.labels?.[0]?.innerText ?? found.innerText ?? "";
            return [words.trim(), getComputedStyle(found).outlineStyle];
        }"""
    )
    assert outline != "none", f"the focus on {words!r} is not visible"
    return str(words)


def press_until(page: Page, words: str, key: str = "Tab", most: int = 60) -> None:
    """Presses *key* until the element with *words* has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        if focused(page) == words:
            return
    raise AssertionError(f"{key} does not lead to {words!r}")


def cookies_of(page: Page, url: str = "") -> dict[str, dict[str, Any]]:
    """Returns the browser's cookies by name; with *url*, those that it would receive."""
    found = page.context.cookies(url) if url else page.context.cookies()
    return {str(it.get("name")): dict(it) for it in found}
