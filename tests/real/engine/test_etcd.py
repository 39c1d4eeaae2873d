"""A store on a real etcd of three members: killed and frozen members, TLS, logins, compaction."""

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trustme

from headgate_engine import (
    Engine,
    OutcomeUnknown,
    Passwords,
    StoreError,
    StoreUnavailable,
    Tx,
)
from headgate_engine.errors import ChangeTooLarge
from headgate_engine.stores.location import StoreLogin
from headgate_engine.stores.shared.etcd_client import EtcdAddress
from headgate_engine.stores.shared.etcd_log import EtcdLog
from headgate_engine.stores.shared.log import TooOld
from headgate_engine.stores.shared.store import SharedStore, create_store
from support.certificates import write_certificate
from support.etcd import ETCD, Etcd
from support.etcd_store import AUDIT, HASH, add, compact, made, opened
from support.waiting import free_port, poll_until

pytestmark = pytest.mark.skipif(
    ETCD is None and "CI" not in os.environ, reason="etcd-server is not installed"
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Etcd]:
    flags = ("--heartbeat-interval", "50", "--election-timeout", "500")
    with Etcd(tmp_path, 3, *flags) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    return f"/{secrets.token_hex(8)}/"


def leader(etcd: Etcd) -> int:
    """Returns the number of the member that leads."""
    for number, port in enumerate(etcd.ports):
        endpoint = f"http://127.0.0.1:{port}"
        command = ["etcdctl", "--endpoints", endpoint, "--command-timeout=1s", "endpoint", "status"]
        environment = os.environ | {"ETCDCTL_API": "3"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode == 0 and done.stdout.split(", ")[4] == "true":
            return number
    return -1


class Writer(threading.Thread):
    """Adds users `PREFIX0`, `PREFIX1` and so on to *store*, until `stop`."""

    def __init__(self, store: SharedStore, prefix: str) -> None:
        super().__init__()
        self._store, self._prefix = store, prefix
        self._ending = threading.Event()
        self.added: list[str] = []
        self.unknown: list[str] = []
        self.longest = 0.0
        self._last = time.monotonic()

    def run(self) -> None:
        number = 0
        while not self._ending.is_set():
            name = f"{self._prefix}{number}"
            number += 1
            try:
                self._store.transact(add(name), AUDIT)
            except OutcomeUnknown:
                self.unknown.append(name)
            except StoreUnavailable:
                self._ending.wait(0.01)
            else:
                self.added.append(name)
                now = time.monotonic()
                self.longest, self._last = max(self.longest, now - self._last), now

    def stop(self) -> None:
        self._ending.set()
        self.join(30)


def check_history(stores: list[SharedStore], writers: list[Writer]) -> None:
    """Checks that each acknowledged change was made once, and that there are no holes."""
    acknowledged = [name for writer in writers for name in writer.added]
    unknown = {name for writer in writers for name in writer.unknown}
    for store in stores:
        store.confirmed_revision()
        names = [it.name for it in store.users(limit=100_000)]
        assert len(names) == len(set(names)) and set(acknowledged) <= set(names)
        assert set(names) - set(acknowledged) <= unknown
        records = store.audit(limit=100_000)
        assert [it.id for it in records] == list(range(1, len(names) + 1))
        assert [it.revision for it in records] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("happens", ["killed", "frozen"])
def test_no_acknowledged_change_is_lost_or_made_twice_when_leaders_end(
    cluster: Etcd, prefix: str, happens: str
) -> None:
    made(cluster, prefix)
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(opened(cluster, prefix))) for _ in range(2)]
        writers = [Writer(store, f"writer{number}-") for number, store in enumerate(stores)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                before = [len(writer.added) for writer in writers]
                number = leader(cluster)
                assert number >= 0
                cluster.kill(number) if happens == "killed" else cluster.freeze(number)

                def goes_on(before: list[int] = before) -> bool:
                    pairs = zip(writers, before, strict=True)
                    return all(len(it.added) > count + 20 for it, count in pairs)

                poll_until(goes_on, "changes do not go on", seconds=30)
                if happens == "killed":
                    cluster.start(number)
                else:
                    cluster.freeze(number, frozen=False)
                poll_until(lambda: leader(cluster) >= 0, "no leader", seconds=30)
        finally:
            for writer in writers:
                writer.stop()
        check_history(stores, writers)


def test_without_a_majority_reads_end_after_the_bound_and_come_back(
    cluster: Etcd, prefix: str
) -> None:
    with closing(opened(cluster, made(cluster, prefix), staleness=1.0, give_up=2.0)) as store:
        store.transact(add("todd"), AUDIT)
        for number in (0, 1):
            cluster.freeze(number)
        assert store.user("todd") is not None  # as old as the bound allows

        def refusal() -> str:
            try:
                store.user("todd")
            except StoreUnavailable as error:
                return str(error)
            return ""

        poll_until(lambda: "nothing heard of it" in refusal(), "an old answer is given")
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            store.transact(add("ann"), AUDIT)
        for number in (0, 1):
            cluster.freeze(number, frozen=False)
        poll_until(lambda: not refusal(), "the store does not come back")
        store.transact(add("bob"), AUDIT)


def test_one_member_that_is_down_at_the_start_does_not_matter(cluster: Etcd, prefix: str) -> None:
    made(cluster, prefix)
    cluster.kill(0)
    poll_until(lambda: leader(cluster) > 0, "no leader", seconds=30)
    with closing(opened(cluster, prefix)) as store:
        store.transact(add("todd"), AUDIT)
        assert store.user("todd") is not None


def test_a_compacted_history_is_followed_no_more(etcd: Etcd, prefix: str) -> None:
    made(etcd, prefix)
    with closing(opened(etcd, prefix)) as store:
        place = store.follower.mirror.position
        for number in range(20):
            store.transact(add(f"user{number}"), AUDIT)
        compact(etcd, store.follower.mirror.position)
        with closing(EtcdLog(etcd.address(), prefix)) as log, pytest.raises(TooOld):
            next(iter(log.follow(place)))
        with closing(opened(etcd, prefix)) as other:
            assert len(other.users()) == 20
            store.transact(add("todd"), AUDIT)
            poll_until(lambda: other.user("todd") is not None, "the store does not follow")


def test_a_deleted_prefix_is_refused(etcd: Etcd, prefix: str) -> None:
    made(etcd, prefix)
    with closing(opened(etcd, prefix)) as store:
        store.transact(add("todd"), AUDIT)
        endpoint = f"http://127.0.0.1:{etcd.ports[0]}"
        command = ["etcdctl", "--endpoints", endpoint, "del", "--prefix", prefix]
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {"ETCDCTL_API": "3"}
        )

        def is_refused() -> bool:
            try:
                store.user("todd")
            except StoreUnavailable as error:
                return "nothing heard" not in str(error)
            return False

        poll_until(is_refused, "a deleted store is served")
    with pytest.raises(StoreError, match="there is none"):
        opened(etcd, prefix)


def test_a_change_with_too_many_records_is_refused_as_a_statement(etcd: Etcd, prefix: str) -> None:
    def many(tx: Tx) -> None:
        for number in range(121):
            tx.add_user(f"user{number}", HASH, False)

    with closing(opened(etcd, made(etcd, prefix))) as store:
        with pytest.raises(ChangeTooLarge):
            store.transact(many, AUDIT)
        assert store.empty()


def test_names_of_any_bytes_and_many_pages_are_kept(etcd: Etcd, prefix: str) -> None:
    names = [*("/", "../..", "ü", "\n", "head", "a/b", "x" * 300), *(f"u{n}" for n in range(2500))]
    with closing(
        SharedStore(EtcdLog(etcd.address(), made(etcd, prefix), max_writes=9000))
    ) as store:
        for place in range(0, len(names), 1000):

            def some(tx: Tx, place: int = place) -> None:
                for name in names[place : place + 1000]:
                    tx.add_user(name, HASH, False)

            store.transact(some, AUDIT)
    with closing(opened(etcd, prefix)) as store:
        assert [it.name for it in store.users(limit=5000)] == names
        store.prune_audit("9999")
        assert [it.id for it in store.audit()] == [3] == [it.id for it in store.newest_audit()]


def test_tls_certificates_and_passwords(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    own, foreign = tmp_path / "authority.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(own))
    other.cert_pem.write_to_path(str(foreign))
    certificate = write_certificate(authority, tmp_path / "server.pem")
    flags = [
        *("--cert-file", str(certificate), "--key-file", str(certificate)),
        *("--auth-token", "simple", "--auth-token-ttl", "3"),
    ]
    with Etcd(tmp_path / "data", 1, *flags, tls=True) as etcd:
        port = etcd.ports[0]

        def control(*arguments: str, user: str = "") -> None:
            command = ["etcdctl", "--endpoints", f"https://127.0.0.1:{port}", "--cacert", str(own)]
            command += ["--user", user] if user else []
            environment = os.environ | {"ETCDCTL_API": "3"}
            subprocess.run([*command, *arguments], check=True, capture_output=True, env=environment)

        poll_until(lambda: not _fails(lambda: control("endpoint", "health")), "etcd did not start")
        control("user", "add", "root:root-pw")
        control("user", "add", "headgate:store-pw")
        control("role", "add", "headgate")
        control("role", "grant-permission", "--prefix", "headgate", "readwrite", "/headgate/")
        control("user", "grant-role", "headgate", "headgate")
        control("user", "grant-role", "root", "root")
        control("auth", "enable")

        def log(prefix: str = "/headgate/", **options: str) -> EtcdLog:
            given = {"ca_file": str(own), "user": "headgate", "password": "store-pw"} | options
            login = StoreLogin(**given)  # type: ignore[arg-type]
            return EtcdLog(EtcdAddress((f"127.0.0.1:{port}",), True, login), prefix)

        with closing(log()) as first:
            assert create_store(first)
        with closing(SharedStore(log())) as store:
            engine = Engine(store, Passwords(4))
            engine.create_user("todd", "s3cret")
            # The token of the login lasts for 3 seconds: it is replaced without a failure.
            ends_at, number = time.monotonic() + 7, 0
            while time.monotonic() < ends_at:
                engine.create_database(f"db{number}")
                number += 1
                assert store.user("todd") is not None
            assert len(store.databases()) == number > 20
        # The authority is replaced while the store is open, and read again.
        renewed = tmp_path / "renewed.pem"
        renewed.write_bytes(own.read_bytes())
        with closing(SharedStore(log(ca_file=str(renewed)))) as store:
            renewed.unlink()
            with pytest.raises(StoreError, match=r"renewed\.pem: No such file"):
                store.reload()
            Engine(store, Passwords(4)).create_database("before")
            renewed.write_bytes(foreign.read_bytes() + own.read_bytes())
            store.reload()
            Engine(store, Passwords(4)).create_database("after")
            renewed.write_bytes(foreign.read_bytes())
            store.reload()
            with pytest.raises(StoreUnavailable):
                Engine(store, Passwords(4)).create_database("never")
        for options, words in (
            ({"password": "wrong"}, "refuses the user or the password"),
            ({"user": "", "password": ""}, "asks for a user"),
            ({"ca_file": str(foreign)}, "no member of etcd answers|no member answers"),
        ):
            with pytest.raises(StoreError, match=words):
                SharedStore(log(**options))
        with pytest.raises(StoreError, match="may not use the prefix"):
            SharedStore(log("/other/"))
        with pytest.raises(StoreError, match=r"nothing\.pem: No such file"):
            log(ca_file=str(tmp_path / "nothing.pem"))


def _fails(action: Callable[[], None]) -> bool:
    try:
        action()
    except subprocess.CalledProcessError:
        return True
    return False


def test_an_etcd_that_is_away_is_told_in_one_line() -> None:
    with pytest.raises(StoreError, match="^store unavailable: no member answers$"):
        SharedStore(EtcdLog(EtcdAddress((f"127.0.0.1:{free_port()}",))))
