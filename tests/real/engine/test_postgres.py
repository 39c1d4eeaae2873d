"""A store on a real PostgreSQL: a primary that is killed or frozen, its standby, and refusals."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
import trustme

from headgate_engine import (
    Audit,
    DeniedAttempt,
    Engine,
    OutcomeUnknown,
    Passwords,
    StoreError,
    StoreUnavailable,
)
from headgate_engine.stores.location import StoreLogin
from headgate_engine.stores.shared.log import TooOld
from headgate_engine.stores.shared.postgres_client import PostgresAddress
from headgate_engine.stores.shared.postgres_log import PostgresLog
from headgate_engine.stores.shared.store import SharedStore, create_store
from support.counter import count_up, counted
from support.postgres import POSTGRES, Postgres
from support.waiting import poll_until

pytestmark = pytest.mark.skipif(
    POSTGRES is None and "CI" not in os.environ, reason="postgresql is not installed"
)
HASH = "$2b$04$" + "." * 53
AUDIT = Audit("root", "127.0.0.1", "TEST")


@pytest.fixture
def replicated() -> Iterator[Postgres]:
    with Postgres(standby=True) as running:
        yield running


def opened(server: Postgres, **options: float) -> SharedStore:
    return SharedStore(PostgresLog(PostgresAddress(server.url())), **options)  # type: ignore[arg-type]


def made(server: Postgres) -> None:
    with closing(PostgresLog(PostgresAddress(server.url()))) as log:
        assert create_store(log) and not create_store(log)


def made_in(server: Postgres, schema: str) -> PostgresAddress:
    """Makes a store in the new *schema* of a server without a standby."""
    server.execute(0, f"CREATE SCHEMA {schema}")
    address = PostgresAddress(server.url(f"?options=-csearch_path%3D{schema}"))
    with closing(PostgresLog(address, primary_only=True)) as log:
        assert create_store(log)
    return address


class Counter(threading.Thread):
    """Adds one to a number in *store*, again and again, until `stop`."""

    def __init__(self, store: SharedStore) -> None:
        super().__init__()
        self._store = store
        self._ending = threading.Event()
        self.acknowledged = self.unknown = 0

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._store.transact(count_up, AUDIT)
            except OutcomeUnknown:
                self.unknown += 1
            except StoreUnavailable:
                self._ending.wait(0.02)
            else:
                self.acknowledged += 1

    def stop(self) -> None:
        self._ending.set()
        self.join(30)


def test_a_promoted_standby_has_each_acknowledged_change(replicated: Postgres) -> None:
    made(replicated)
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(opened(replicated))) for _ in range(2)]
        writers = [Counter(store) for store in stores]
        for writer in writers:
            writer.start()
        poll_until(lambda: all(it.acknowledged > 30 for it in writers), "there are no changes")
        replicated.kill(0)
        replicated.promote()
        # The new primary has no standby of its own, and must not wait for one.
        before = [it.acknowledged for it in writers]
        poll_until(
            lambda: all(it.acknowledged > n + 30 for it, n in zip(writers, before, strict=True)),
            "changes do not go on",
            30,
        )
        for writer in writers:
            writer.stop()
        acknowledged = sum(it.acknowledged for it in writers)
        unknown = sum(it.unknown for it in writers)
        done = stores[0].confirmed_revision()
        assert acknowledged <= done <= acknowledged + unknown
        poll_until(lambda: [counted(it) for it in stores] == [done] * 2, "a store is behind")
        assert [it.id for it in stores[0].audit(0, done)] == list(range(1, done + 1))


def test_a_frozen_primary_ends_reads_at_the_bound(replicated: Postgres) -> None:
    made(replicated)
    with closing(opened(replicated, staleness=1.0)) as store:
        store.transact(count_up, AUDIT)
        replicated.freeze(0)
        began = time.monotonic()
        while True:
            try:
                store.user("counter")
            except StoreUnavailable:
                break
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        with pytest.raises(StoreUnavailable):
            store.transact(count_up, AUDIT)
        replicated.freeze(0, frozen=False)
        poll_until(lambda: is_readable(store), "it does not recover")
        assert store.transact(count_up, AUDIT)[0] == 2


def is_readable(store: SharedStore) -> bool:
    try:
        store.user("counter")
    except StoreUnavailable:
        return False
    return True


def test_a_primary_without_its_standby_proves_nothing(replicated: Postgres) -> None:
    made(replicated)
    with closing(opened(replicated, staleness=1.0, give_up=1.0)) as store:
        store.transact(count_up, AUDIT)
        replicated.freeze(1)
        poll_until(lambda: not is_readable(store), "reads go on without a proof")
        # Calls that were given up do not pile up at the server.
        active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headgate'"
        counts = []
        for _ in range(12):
            time.sleep(0.5)
            counts.append(int(replicated.execute(0, active)))
        assert max(counts) <= 10, counts
        with pytest.raises(StoreUnavailable):
            store.transact(count_up, AUDIT)
        replicated.freeze(1, frozen=False)
        poll_until(lambda: is_readable(store), "it does not recover", 30)


def test_a_start_needs_a_standby_unless_it_is_told(postgres: Postgres) -> None:
    with (
        closing(PostgresLog(PostgresAddress(postgres.url()))) as log,
        pytest.raises(StoreError, match="has no synchronous standby.*durability"),
    ):
        create_store(log)
    address = made_in(postgres, "durable")
    with pytest.raises(StoreError, match="has no synchronous standby"):
        SharedStore(PostgresLog(address))


def test_a_log_without_tables_has_no_store(postgres: Postgres) -> None:
    address = PostgresAddress(postgres.url("?options=-csearch_path%3Dnone"))
    with pytest.raises(StoreError, match="there is none: make one"):
        SharedStore(PostgresLog(address, primary_only=True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url: url.replace("/postgres", "/missing"), "PostgreSQL has no such database"),
        (lambda url: "postgresql://127.0.0.1:9/x", "PostgreSQL does not answer"),
        (lambda url: f"{url}?sslmode=require", "the TLS connection to PostgreSQL fails"),
        (lambda url: f"{url}?nonsense=1", "the URL of PostgreSQL is invalid"),
    ],
)
def test_what_is_wrong_is_a_sentence_without_addresses(
    postgres: Postgres, change: Callable[[str], str], sentence: str
) -> None:
    address = PostgresAddress(change(postgres.url()))
    with pytest.raises(StoreError, match=sentence) as caught:
        SharedStore(PostgresLog(address, primary_only=True))
    assert "127.0.0.1" not in str(caught.value)


def test_a_user_without_the_tables_is_refused(postgres: Postgres) -> None:
    url = made_in(postgres, "locked").url.replace("root@", "guest@")
    postgres.execute(0, "CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA locked TO guest")
    with pytest.raises(StoreError, match="this user may not use the tables"):
        SharedStore(PostgresLog(PostgresAddress(url), primary_only=True))


def test_a_record_with_a_nul_character_is_pruned(postgres: Postgres) -> None:
    address = made_in(postgres, "pruned")
    with closing(SharedStore(PostgresLog(address, primary_only=True))) as store:
        for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
            store.record_denied([DeniedAttempt(day, "a\0b", "", "q\0", "refused", 1)])
        store.prune_audit("2026-01-02")
        assert [record.time for record in store.audit()] == ["2026-01-02", "2026-01-03"]
        store.prune_audit("2027-01-01")
        assert [record.actor for record in store.audit()] == ["a\0b"]


def test_a_follower_that_is_too_far_behind_loads_all(postgres: Postgres) -> None:
    address = made_in(postgres, "behind")
    with closing(SharedStore(PostgresLog(address, primary_only=True))) as store:
        for _ in range(5):
            store.transact(count_up, AUDIT)
        postgres.execute(0, "DELETE FROM behind.headgate_changes WHERE mod < 4")
        with closing(PostgresLog(address, primary_only=True)) as log, pytest.raises(TooOld):
            next(log.follow(1))
        with closing(PostgresLog(address, primary_only=True)) as log:
            follower = log.follow(4)
            assert next(follower).position == 5
            follower.close()  # type: ignore[attr-defined]
        postgres.execute(0, "DELETE FROM behind.headgate_changes")
        store.transact(count_up, AUDIT)
        assert counted(store) == 6


def test_a_delay_of_a_login_reaches_the_other_servers(postgres: Postgres) -> None:
    address = made_in(postgres, "delays")
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                closing(SharedStore(PostgresLog(address, primary_only=True)))
            ).login_delays()
            for _ in range(2)
        )

        def arrives() -> bool:
            first.publish("0123", 60.0)
            return second.seconds_left("0123") > 0

        poll_until(arrives, "no delay arrives")


def test_the_size_is_that_of_the_tables(postgres: Postgres) -> None:
    address = made_in(postgres, "sized")
    with closing(SharedStore(PostgresLog(address, primary_only=True))) as store:
        size = store.size()
        assert size is not None
        assert size.used > 8192
        assert not size.limit


_END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headgate'"
)


def created(engine: Engine, database: str) -> bool:
    """Creates *database*. Returns False if the store is away."""
    try:
        engine.create_database(database)
    except StoreUnavailable:
        return False
    return True


def test_a_reload_with_another_authority_is_refused_and_changes_go_on(
    postgres: Postgres, tmp_path: Path
) -> None:
    own, foreign, path = trustme.CA(), trustme.CA(), tmp_path / "authority.pem"
    own.cert_pem.write_to_path(str(path))
    postgres.use_tls(own)
    plain = made_in(postgres, "encrypted")
    address = PostgresAddress(plain.url, StoreLogin(ca_file=str(path)))
    with closing(SharedStore(PostgresLog(address, primary_only=True))) as store:
        engine = Engine(store, Passwords(4))
        engine.create_database("before")
        foreign.cert_pem.write_to_path(str(path))
        with pytest.raises(StoreError, match=r"^the former certificates stay in use: "):
            store.reload()
        engine.create_database("meanwhile")
        path.unlink()
        with pytest.raises(StoreError, match=r"^the former certificates stay in use: "):
            store.reload()
        postgres.execute(0, _END_CONNECTIONS)
        # New connections use the former certificates, too.
        poll_until(partial(created, engine, "reconnected"), "no new connection is made")
        own.cert_pem.write_to_path(str(path))
        store.reload()
        engine.create_database("after")
        assert [it.name for it in store.databases()] == [
            *("before", "meanwhile", "reconnected", "after")
        ]
