"""Fixtures: a scripted OpenID provider, and servers that use it as the provider `corp`.

A test module takes them by `pytest_plugins = ("support.fake_openid_fixtures",)`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.sso import provider_table, serve_with


@pytest.fixture
def provider() -> Iterator[FakeOpenID]:
    """A provider with the account ann."""
    with FakeOpenID() as provider:
        yield provider


@pytest.fixture
def start_server(
    serve: Callable[..., LocalServer], tmp_path: Path, provider: FakeOpenID
) -> Callable[..., LocalServer]:
    """Starts a server whose provider `corp` has these options, and `[auth]` these lines."""

    def started(auth: str = "", **options: Any) -> LocalServer:
        return serve_with(serve, tmp_path, provider_table(provider, **options), auth=auth)

    return started


@pytest.fixture
def changes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the server see at once what a test writes to its store: not 50 ms later."""
    monkeypatch.setattr("headgate_engine.stores.sqlite.read_cache.MARK_CACHE_SECONDS", 0.0)
