"""The contract suite of the Protocol `Store`, run on the memory store and the SQLite store."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from headgate_engine import Audit, KnownLogin, RetentionPolicy, Store, Tx
from headgate_engine.stores import memory_identities, memory_logins
from headgate_engine.stores.shared import transaction
from headgate_engine.stores.sqlite import identity_changes
from headgate_engine.stores.sqlite import known_logins as sqlite_logins
from headgate_grammar import Privilege

HASH = "$2b$04$" + "." * 53
NAMES = [
    "todd",
    "Todd",
    "TODD",
    "ünï",
    "u\u0308ni\u0308",
    "用户",
    "🙂",
    "a b",
    'q"',
    "x" * 300,
    "\n",
]


def change(store: Store, *steps: Callable[[Tx], Any], statement: str = "TEST") -> int:
    """Runs *steps* in one transaction; returns the revision of the change."""

    def all_of_them(tx: Tx) -> None:
        for step in steps:
            step(tx)

    return store.transact(all_of_them, Audit("root", "127.0.0.1", statement))[1]


def add(name: str, admin: bool = False) -> Callable[[Tx], None]:
    return lambda tx: tx.add_user(name, HASH, admin)


def add_database(name: str) -> Callable[[Tx], None]:
    return lambda tx: tx.add_database(name, RetentionPolicy())


def grant(name: str, database: str, privilege: Privilege) -> Callable[[Tx], None]:
    def put(tx: Tx) -> None:
        user, found = tx.user(name), tx.database(database)
        assert user is not None and found is not None
        tx.put_grant(user, found, privilege)

    return put


def drop(name: str) -> Callable[[Tx], None]:
    def step(tx: Tx) -> None:
        user = tx.user(name)
        assert user is not None
        tx.drop_user(user)

    return step


def drop_database(name: str) -> Callable[[Tx], None]:
    def step(tx: Tx) -> None:
        database = tx.database(name)
        assert database is not None
        tx.drop_database(database)

    return step


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_found_as_it_was_given_and_no_other_way(store: Store, name: str) -> None:
    change(store, *(add(other) for other in NAMES), *(add_database(other) for other in NAMES))
    user, database = store.user(name), store.database(name)
    assert user is not None and user.name == name
    assert database is not None and database.name == name
    assert store.user(name + " ") is None
    assert len({account.id for account in store.users()}) == len(NAMES)


def test_users_are_listed_in_order_of_creation_in_pages(store: Store) -> None:
    for number in range(7):
        change(store, add(f"u{6 - number}", admin=number == 3))
    first = store.users(limit=4)
    rest = store.users(after=first[-1].id, limit=4)
    assert [account.name for account in (*first, *rest)] == [f"u{n}" for n in range(6, -1, -1)]
    assert [account.admin for account in first] == [False, False, False, True]
    assert store.users(after=rest[-1].id) == []


def test_a_user_comes_with_its_grants_in_order_of_the_databases(store: Store) -> None:
    change(store, add("todd"), add_database("b"), add_database("a"))
    change(store, grant("todd", "a", Privilege.WRITE), grant("todd", "b", Privilege.NONE))
    user = store.user("todd")
    assert user is not None
    assert list(user.grants.items()) == [("b", Privilege.NONE), ("a", Privilege.WRITE)]


def test_users_that_are_read_together_are_as_if_read_alone(store: Store) -> None:
    change(store, *(add(name) for name in NAMES), add_database("a"), add_database("b"))
    change(store, grant("todd", "b", Privilege.ALL), grant("Todd", "a", Privilege.READ))
    asked = [*NAMES, "nobody", "todd\0", "\udc80", ""]
    with store.snapshot():
        store.prefetch_users(asked)
        together = [store.user(name) for name in NAMES]
        assert store.user("nobody") is store.user("todd\0") is None
    assert together == [store.user(name) for name in NAMES]
    assert together[0] is not None and together[0].grants == {"b": Privilege.ALL}
    change(store, drop("todd"))
    with store.snapshot():
        store.prefetch_users(asked)
        assert store.user("todd") is None and store.user("Todd") is not None


def test_a_dropped_user_leaves_nothing_to_the_next_of_its_name(store: Store) -> None:
    change(store, add("todd"), add_database("db"), grant("todd", "db", Privilege.ALL))
    before = store.user("todd")
    change(store, drop("todd"))
    assert store.user("todd") is None
    change(store, add("todd"))
    after = store.user("todd")
    assert before is not None and after is not None
    assert after.id != before.id and not after.grants


def test_a_dropped_database_leaves_nothing_to_the_next_of_its_name(store: Store) -> None:
    change(store, add("todd"), add_database("db"), grant("todd", "db", Privilege.ALL))
    change(store, drop_database("db"))
    user = store.user("todd")
    assert user is not None and not user.grants
    change(store, add_database("db"))
    user = store.user("todd")
    assert user is not None and not user.grants
    assert [database.name for database in store.databases()] == ["db"]


def test_an_id_is_never_used_twice(store: Store) -> None:
    seen: set[str] = set()
    for _ in range(5):
        change(store, add("todd"))
        user = store.user("todd")
        assert user is not None and user.id not in seen
        seen.add(user.id)
        change(store, drop("todd"))


def test_a_change_that_fails_did_nothing(store: Store) -> None:
    change(store, add("todd"))
    before = store.confirmed_revision()

    def half(tx: Tx) -> None:
        tx.add_user("alice", HASH, False)
        raise KeyError("stop")

    with pytest.raises(KeyError):
        store.transact(half, Audit("", "", "HALF"))
    assert store.user("alice") is None
    assert store.confirmed_revision() == before
    assert [record.statement for record in store.audit()] == ["TEST"]


def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    def look(tx: Tx) -> tuple[bool, int, bool]:
        tx.add_user("todd", HASH, True)
        return tx.user("todd") is not None, tx.admin_count(), tx.empty()

    assert store.transact(look, Audit("", "", ""))[0] == (True, 1, False)


def test_every_change_has_its_revision_and_its_audit_record(store: Store) -> None:
    assert store.empty() and store.confirmed_revision() == 0
    revisions = [change(store, add(name), statement=f"CREATE {name}") for name in "abc"]
    assert revisions == [1, 2, 3]
    assert store.confirmed_revision() == 3 and not store.empty()
    records = store.audit()
    assert [record.statement for record in records] == ["CREATE a", "CREATE b", "CREATE c"]
    assert {(record.actor, record.address, record.outcome) for record in records} == {
        ("root", "127.0.0.1", "ok")
    }
    assert all(record.time.endswith("+00:00") for record in records)
    assert [record.revision for record in store.audit(since=1, limit=1)] == [2]


def test_changes_say_what_was_touched(store: Store) -> None:
    change(store, add("todd"), add_database("db"))
    change(store, grant("todd", "db", Privilege.READ))
    change(store, drop_database("db"))
    changes = store.changes(0)
    assert changes is not None
    assert [set(one.keys) for one in changes] == [
        {"user:todd", "database:db"},
        {"user:todd"},
        {"database:db"},
    ]
    last = store.changes(2)
    assert last is not None and [one.revision for one in last] == [3]
    assert store.changes(3) == []


def test_waiting_ends_with_a_newer_revision_or_in_time(store: Store) -> None:
    assert store.wait(since=0, timeout=0) == 0
    thread = threading.Thread(target=change, args=(store, add("todd")))
    thread.start()
    assert store.wait(since=0, timeout=20) == 1
    thread.join()


def test_changes_from_many_threads_are_ordered_and_none_is_lost(store: Store) -> None:
    def work(number: int) -> None:
        for step in range(20):
            change(store, add(f"{number}.{step}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.confirmed_revision() == 80
    assert len(store.users()) == 80


def test_what_changes_nothing_is_no_change(store: Store) -> None:
    change(store, add("a"))
    assert change(store, lambda tx: tx.user("a")) == 1
    assert store.confirmed_revision() == 1 and len(store.audit()) == 1


def bind(name: str, subject: str) -> Callable[[Tx], None]:
    def step(tx: Tx) -> None:
        user = tx.user(name)
        assert user is not None
        tx.link(user, "https://idp", subject)

    return step


def test_the_identity_of_a_dropped_user_stays_behind_with_the_time(store: Store) -> None:
    before = time.time()
    change(store, add("todd"), bind("todd", "42"), add("alice"), bind("alice", "43"), add("bob"))
    assert store.identity_dropped_at("https://idp", "42") is None
    change(store, drop("todd"), drop("bob"))
    dropped = store.identity_dropped_at("https://idp", "42")
    assert dropped is not None and before <= dropped <= time.time()
    assert store.user_by_identity("https://idp", "42") is None
    assert (
        store.identity_dropped_at("https://idp", "43")
        is store.identity_dropped_at("https://other", "42")
        is None
    )
    change(store, add("todd"), bind("todd", "42"))
    assert store.identity_dropped_at("https://idp", "42") == dropped
    change(store, drop("todd"))
    again = store.identity_dropped_at("https://idp", "42")
    assert again is not None and again >= dropped


def test_a_drop_that_is_undone_leaves_no_dropped_identity(store: Store) -> None:
    change(store, add("todd"), bind("todd", "42"))

    def undone(tx: Tx) -> None:
        drop("todd")(tx)
        assert tx.identity_dropped_at("https://idp", "42") is not None
        raise KeyError("stop")

    with pytest.raises(KeyError):
        store.transact(undone, Audit("", "", ""))
    assert store.identity_dropped_at("https://idp", "42") is None
    assert store.user_by_identity("https://idp", "42") is not None


def test_dropped_identities_are_forgotten_after_400_days(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, *(step for n in "abc" for step in (add(n), bind(n, n))))
    now = time.time()
    for day, name in ((0, "a"), (1, "b"), (400.5, "c")):
        monkeypatch.setattr(time, "time", lambda day=day: now + day * 86_400)
        change(store, drop(name))
    assert store.identity_dropped_at("https://idp", "a") is None
    assert store.identity_dropped_at("https://idp", "b") == now + 86_400
    assert store.identity_dropped_at("https://idp", "c") is not None


def test_a_clock_that_was_set_back_does_not_make_a_drop_earlier(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for at in (now, now - 3600):
        for module in (identity_changes, memory_identities, transaction):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda at=at: at))
        change(store, add("todd"), bind("todd", "42"), drop("todd"))
    assert store.identity_dropped_at("https://idp", "42") == now


def ids(store: Store) -> list[str]:
    return [account.id for account in store.users()]


def test_known_logins_are_upserted_and_read_newest_first(store: Store) -> None:
    change(store, add("todd"), add("alice"))
    todd, alice = ids(store)
    revision, records = store.confirmed_revision(), len(store.audit())
    first = [KnownLogin(todd, "192.0.2.0/24", "m1", 10), KnownLogin(alice, "::1/128", "m2", 20)]
    store.remember_logins(first)
    assert store.known_logins(10) == first[::-1]
    later = [KnownLogin(todd, "192.0.2.0/24", "m1", 30), KnownLogin(todd, "192.0.2.0/24", "m3", 15)]
    store.remember_logins([*later, KnownLogin(alice, "::1/128", "m2", 5)])
    assert store.known_logins(10) == [later[0], first[1], later[1]]
    assert store.known_logins(2) == [later[0], first[1]]
    store.remember_logins([])
    assert (store.confirmed_revision(), len(store.audit())) == (revision, records)


def test_known_logins_go_with_their_user_and_never_come_back(store: Store) -> None:
    change(store, add("todd"), add("alice"))
    todd, alice = ids(store)
    rows = [KnownLogin(todd, "n", "m", 1), KnownLogin(alice, "n", "m", 2)]
    store.remember_logins(rows)
    change(store, drop("todd"), add("todd"))
    assert store.known_logins(10) == rows[1:]
    store.remember_logins(rows)  # from a worker that has not read the drop
    assert store.known_logins(10) == rows[1:]


def test_only_the_newest_known_logins_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory_logins, sqlite_logins):
        monkeypatch.setattr(module, "MAX_KNOWN_LOGINS", 5)
    change(store, add("todd"))
    (todd,) = ids(store)
    store.remember_logins([KnownLogin(todd, f"n{n}", "m", n) for n in range(8)])
    store.remember_logins([KnownLogin(todd, "n4", "m", 9), KnownLogin(todd, "n2", "m", 1)])
    assert [login.network for login in store.known_logins(10)] == ["n4", "n7", "n6", "n5", "n3"]
