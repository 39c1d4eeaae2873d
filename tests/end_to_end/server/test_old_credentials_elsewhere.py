"""Old credentials are refused on the other machine, within the bound of its reads."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headgate_engine import create_store_at
from support.etcd import ETCD, Etcd
from support.local_server import LocalServer
from support.old_credentials import CHANGES, FLAGS, Accepted, check, prepare

pytestmark = pytest.mark.skipif(
    ETCD is None and "CI" not in os.environ, reason="etcd-server is not installed"
)
BOUND_SECONDS = 5.0


@pytest.fixture(scope="module")
def own_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def machines(own_etcd: Etcd, tmp_path: Path) -> Iterator[list[LocalServer]]:
    """Yields two servers on one store in etcd, as on two machines."""
    url = f"etcd://127.0.0.1:{own_etcd.ports[0]}/{secrets.token_hex(8)}"
    assert create_store_at(url)
    with ExitStack() as stack:
        servers = []
        for number in range(2):
            path = tmp_path / f"server{number}" / "unused.db"
            path.parent.mkdir()
            flags = (*FLAGS, "--store", url)
            keys = {"HEADGATE_AUTH_SECRET_KEY_FILE": str(tmp_path / "headgate.key")}
            server = LocalServer(path, flags, keys, beside=tmp_path / f"beside{number}").start()
            stack.callback(server.stop)
            servers.append(server)
        prepare(servers)
        yield servers


def within_the_bound(accepted: Accepted, expected: set[str]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while (found := accepted()) != expected:
        assert time.monotonic() < deadline, f"{found} are accepted, and not {expected}"


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_old_credentials_are_refused_on_the_other_machine(
    machines: list[LocalServer], name: str, remembered: bool
) -> None:
    check(machines, name, within_the_bound, remembered=remembered)
