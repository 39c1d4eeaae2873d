"""Sign-ins in a browser by the OpenID provider. At localhost, it is another site for a browser."""

import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page

from headgate_engine import Audit, Session, SqliteStore, Tx, UpkeepTx
from support.browser import CHROMIUM, base_of
from support.local_server import LocalServer
from support.openid_provider import NODE, NPM, PASSWORD, OpenIDProvider, ProviderClient
from support.servers import Server
from support.sso import table

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and NODE and NPM) and not os.environ.get("CI"),
    reason="Debian's chromium, Node.js and npm are not installed",
)
Start = Callable[..., LocalServer]
Open = Callable[..., Page]


def section(
    provider: OpenIDProvider, client: ProviderClient, name: str = "corp", **options: Any
) -> str:
    """Returns the section of *provider* in a configuration file, with *options*."""
    values = {
        "title": "Company SSO",
        "issuer": provider.issuer,
        "client-id": client.client_id,
        "client-secret": client.client_secret,
        "allow-insecure-urls": True,
        "allow-sign-up": True,
    } | {key.replace("_", "-"): value for key, value in options.items()}
    return table(f"auth.oauth.{name}", values)


def sign_in_at_openid(
    page: Page, login: str = "ann", *, consents: bool = True, cancels: bool = False
) -> None:
    """Signs *login* in at the provider, whose first page *page* shows or loads.

    With *cancels*, presses Cancel instead. The provider asks a browser once for its consent:
    without *consents*, it was asked before.
    """
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Cancel" if cancels else "Continue").click()
    if consents and not cancels:
        page.get_by_role("heading", name="Consent").wait_for()
        page.get_by_role("button", name="Continue").click()


def sign_in_by_openid(page: Page, server: Server, path: str = "/console/") -> None:
    """Opens *path*, and signs ann in by the button of the sign-in page."""
    page.goto(base_of(server) + path)
    page.get_by_role("link", name="Continue with Company SSO").click()
    sign_in_at_openid(page)
    page.wait_for_url(base_of(server) + path)


def at_openid(provider: OpenIDProvider) -> re.Pattern[str]:
    """Returns the pattern of addresses of the provider's pages."""
    return re.compile(re.escape(provider.issuer) + "/")


def signed_in_as(page: Page) -> str:
    """Returns the name that the header of *page* shows; "" on a page of a sign-in."""
    found = page.locator("header .me a")
    return found.inner_text() if found.count() else ""


def change_sessions(server: Server, name: str, **fields: Any) -> list[Session]:
    """Changes *fields* of all sessions of the user *name*, as the time would. Returns them.

    A pause after a refresh that failed ends.
    """

    def change(tx: Tx) -> list[Session]:
        user = tx.user(name)
        found = [replace(it, **fields) for it in tx.sessions(user)] if user is not None else []
        for session in found:
            tx.put_session(session)
        return found

    with closing(SqliteStore(server.store, create=False)) as store:
        found, _ = store.transact(change, Audit("root", "127.0.0.1", "-- a test"))
        store.upkeep(lambda tx: _end_pauses(tx, found))
    return found


def _end_pauses(tx: UpkeepTx, sessions: list[Session]) -> None:
    for session in sessions:
        if (tokens := tx.session_tokens(session.id)) is not None:
            tx.put_session_tokens(session.id, replace(tokens, refreshing_until=0))
