"""Old credentials are refused by the next request, on this worker and another."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from support.local_server import LocalServer
from support.old_credentials import CHANGES, FLAGS, Accepted, check, prepare


@pytest.fixture
def workers(tmp_path: Path) -> object:
    """Yields two servers on one store, each with its own caches."""
    with ExitStack() as stack:
        path = tmp_path / "users.db"
        servers = []
        for number in range(2):
            server = LocalServer(path, FLAGS, {}, beside=tmp_path / f"server{number}").start()
            stack.callback(server.stop)
            servers.append(server)
        prepare(servers)
        yield servers


def at_once(accepted: Accepted, expected: set[str]) -> None:
    assert accepted() == expected


@pytest.mark.slow
@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_old_credentials_are_refused_by_the_next_request(
    workers: list[LocalServer], name: str, remembered: bool
) -> None:
    check(workers, name, at_once, remembered=remembered)
