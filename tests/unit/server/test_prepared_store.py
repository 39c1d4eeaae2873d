"""The user store between the start's checks and the server: closed after each fault."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import SqliteStore, StoreUnavailable
from headgate_server import Settings
from headgate_server.app_context import AppContext
from headgate_server.application import Application
from headgate_server.serving.store_preparation import prepare_store


@pytest.mark.parametrize("error", [ValueError("a changed file"), StoreUnavailable("away")])
def test_a_server_that_fails_after_the_hand_over_leaves_the_store_to_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(AppContext, "_create_gateway", fail)
    settings, prepared = prepare_store(Settings(store_path=str(tmp_path / "users.db")), {})
    started = asyncio.run(Application(settings, prepared).startup())
    assert not started and not prepared.is_taken
    prepared.close()
    with pytest.raises(StoreUnavailable):
        prepared.store.user("root")


def test_a_fault_of_the_preparation_closes_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[SqliteStore] = []
    close = SqliteStore.close

    def noted(store: SqliteStore) -> None:
        closed.append(store)
        close(store)

    def fail(*_: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(SqliteStore, "close", noted)
    monkeypatch.setattr("headgate_server.serving.store_preparation.warnings", fail)
    with pytest.raises(RuntimeError, match="unforeseen"):
        prepare_store(Settings(store_path=str(tmp_path / "users.db")), {})
    assert len(closed) == 1
