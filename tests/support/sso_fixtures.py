"""Fixtures: a browser, and servers at 127.0.0.1 whose provider is at localhost.

A test module takes them by `pytest_plugins = ("support.sso_fixtures",)`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from support import ending
from support.axe import axe_script
from support.browser import CHROMIUM, Messages, chromium, context_of
from support.local_server import LocalServer
from support.openid_provider import OpenIDProvider, ProviderClient
from support.single_sign_on import Open, Start, section
from support.waiting import free_port

# So many servers of one worker of pytest can run at the same time.
_CLIENTS = 40


@dataclass(frozen=True)
class OpenIDSite:
    """The provider, and its clients: one for each port that a server may have."""

    provider: OpenIDProvider
    clients: Iterator[tuple[int, ProviderClient]]


def _client(port: int) -> ProviderClient:
    base = f"http://127.0.0.1:{port}"
    return ProviderClient(
        f"headgate-{port}",
        redirect_uris=(f"{base}/login/corp/callback", f"{base}/login/other/callback"),
        post_logout_redirect_uris=(f"{base}/login?signed_out=1",),
        backchannel_logout_uri=f"{base}/login/corp/backchannel-logout",
    )


@pytest.fixture(scope="session")
def openid_site(
    openid_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenIDSite]:
    """The provider of all tests of a worker."""
    clients = {port: _client(port) for port in (free_port() for _ in range(_CLIENTS))}
    folder = tmp_path_factory.mktemp("provider")
    with OpenIDProvider(openid_package, folder, clients.values()) as provider:
        yield OpenIDSite(provider, cycle(clients.items()))


@pytest.fixture
def openid(openid_site: OpenIDSite) -> OpenIDProvider:
    """The provider with the account ann."""
    openid_site.provider.reset()
    return openid_site.provider


@pytest.fixture
def start(openid_site: OpenIDSite, openid: OpenIDProvider, tmp_path: Path) -> Iterator[Start]:
    """Starts servers with the provider corp: `start(auth, **options)`. All end with the test.

    *auth* has lines of the section `[auth]`, and *options* those of the provider. *more* are
    further sections of the configuration file.
    """
    servers: list[LocalServer] = []

    def started(auth: str = "", *more: str, **options: Any) -> LocalServer:
        port, client = next(openid_site.clients)
        base = f'[http]\nbase-url = "http://127.0.0.1:{port}"\n'
        corp = section(openid, client, **options)
        path = tmp_path / f"headgate{len(servers)}.toml"
        path.write_text("\n".join([base, f"[auth]\n{auth}", corp, *more]), "utf-8")
        path.chmod(0o600)
        store = tmp_path / f"store{len(servers)}.db"
        servers.append(LocalServer(store, ("--config", str(path)), port=port))
        return servers[-1].start().bootstrap("CREATE DATABASE shop")

    yield started
    ending.end(servers)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """The browser of a module."""
    assert CHROMIUM, "Debian's chromium must be installed"
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    return axe_script(tmp_path_factory)


@pytest.fixture
def messages() -> Iterator[Messages]:
    """What pages write to the console of the browser: nothing, else the test fails."""
    found = Messages()
    yield found
    assert not found


@pytest.fixture
def opened(chrome: Browser, messages: Messages) -> Iterator[Open]:
    """Opens pages of browsers without cookies: `opened(**options of the context)`."""
    pages: list[Page] = []

    def fresh(**options: Any) -> Page:
        context = context_of(chrome, **options)
        context.on("page", messages.watch)
        pages.append(context.new_page())
        return pages[-1]

    yield fresh
    for page in pages:
        page.context.close()
