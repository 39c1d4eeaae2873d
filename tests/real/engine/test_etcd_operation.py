"""Operation of a store in etcd: its size, its compaction, a full etcd, delays of logins."""

import json
import os
import secrets
import subprocess
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from headgate_engine import DeniedAttempt, StoreUnavailable
from headgate_engine.stores.shared.etcd_log import EtcdLog
from headgate_engine.stores.shared.store import SharedStore
from support.etcd import ETCD, Etcd
from support.etcd_store import AUDIT, add, compact, made, opened
from support.waiting import poll_until

pytestmark = pytest.mark.skipif(
    ETCD is None and "CI" not in os.environ, reason="etcd-server is not installed"
)


@pytest.fixture
def prefix() -> str:
    return f"/{secrets.token_hex(8)}/"


def test_a_delay_of_a_login_reaches_the_other_servers_and_ends(etcd: Etcd, prefix: str) -> None:
    with ExitStack() as stack:
        made(etcd, prefix)
        first, second = (
            stack.enter_context(closing(opened(etcd, prefix))).login_delays() for _ in range(2)
        )

        def arrives() -> bool:
            first.publish("0123", 2.0)
            return second.seconds_left("0123") > 0

        poll_until(arrives, "no delay arrives")
        log = stack.enter_context(closing(EtcdLog(etcd.address(), prefix)))
        assert log.load().values == {}, "a delay is no part of the state"
        poll_until(lambda: not second.seconds_left("0123"), "the delay does not end")


def test_the_size_is_that_of_etcd(etcd: Etcd, prefix: str) -> None:
    with closing(EtcdLog(etcd.address(), made(etcd, prefix), size_limit=1 << 30)) as log:
        size = log.size()
    assert 0 < size.used <= size.allocated < size.limit
    assert size.limit == 1 << 30


def test_an_etcd_that_compacts_nothing_is_warned_of(
    etcd: Etcd, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate_engine.stores.shared.etcd_log._KEPT_REVISIONS", 20)
    reports: list[str] = []
    with closing(EtcdLog(etcd.address(), made(etcd, prefix))) as log:
        with closing(SharedStore(log)) as store:
            for number in range(30):
                store.transact(add(f"user{number}"), AUDIT)
        with closing(SharedStore(EtcdLog(etcd.address(), prefix), report=reports.append)):
            pass
        (sentence,) = reports
        assert "--auto-compaction-mode=periodic" in sentence
        compact(etcd, store.follower.mirror.position)
    with closing(SharedStore(EtcdLog(etcd.address(), prefix), report=reports.append)):
        assert len(reports) == 1, "it is compacted now"


def is_added(store: SharedStore, name: str) -> bool:
    """Adds the user *name*. Returns False if etcd is full."""
    try:
        store.transact(add(name), AUDIT)
    except StoreUnavailable:
        return False
    return True


def test_a_full_etcd_is_told_and_comes_back_by_the_documented_commands(tmp_path: Path) -> None:
    with Etcd(tmp_path, 1, "--quota-backend-bytes", "24000000") as etcd, ExitStack() as stack:
        made(etcd, "/full/")
        store = stack.enter_context(closing(opened(etcd, "/full/")))
        store.transact(add("todd"), AUDIT)
        attempt = DeniedAttempt("2026-01-01", "a" * 1000, "", "q", "refused", 1)
        with pytest.raises(StoreUnavailable, match="etcd is full: database space exceeded"):
            for _ in range(500):
                store.record_denied([attempt] * 400)
        log = stack.enter_context(closing(EtcdLog(etcd.address(), "/full/")))
        assert log.size().allocated > 20_000_000
        # Reads go on, and changes are refused with the reason.
        assert store.user("todd") is not None
        for name in ("ann", "bob"):
            with pytest.raises(StoreUnavailable, match="database space exceeded"):
                store.transact(add(name), AUDIT)
        # The audit can still be pruned. The alarm stays until it is disarmed.
        store.prune_audit("2999-01-01")
        endpoint = f"http://127.0.0.1:{etcd.ports[0]}"
        options = ["etcdctl", "--endpoints", endpoint, "--command-timeout=60s"]

        def etcdctl(*words: str) -> bytes:
            environment = os.environ | {"ETCDCTL_API": "3"}
            command = [*options, *words]
            return subprocess.run(command, check=True, capture_output=True, env=environment).stdout

        # Of etcd itself: the store may not have seen the last deletion yet.
        (status,) = json.loads(etcdctl("endpoint", "status", "-w", "json"))
        etcdctl("compact", "--physical", str(status["Status"]["header"]["revision"]))
        etcdctl("defrag")
        etcdctl("alarm", "disarm")
        poll_until(partial(is_added, store, "ann"), "changes are still refused")
        assert store.user("ann") is not None
