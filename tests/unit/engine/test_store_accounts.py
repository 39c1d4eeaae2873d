"""The contract suite of the Protocol `Store` for accounts: profiles, API keys, sessions."""

from dataclasses import replace
from operator import methodcaller
from typing import Any

import pytest

from headgate_engine import (
    AccountCounts,
    ApiKey,
    KeyScope,
    Profile,
    RetentionPolicy,
    Session,
    SessionLimits,
    Store,
    Tx,
    User,
    UserStatus,
)
from headgate_grammar import Privilege
from support.store_changes import HASH, add_user, change, session_of, the_user


def add_database(store: Store, name: str) -> None:
    change(store, lambda tx: tx.add_database(name, RetentionPolicy()))


def drop_database(store: Store, name: str) -> None:
    def drop(tx: Tx) -> None:
        database = tx.database(name)
        assert database is not None
        tx.drop_database(database)

    change(store, drop)


def key_of(user: User, name: str = "k", hash: bytes = b"1" * 32, **fields: Any) -> ApiKey:
    fields = {"scope": KeyScope(), "created_at": 5, "created_by": "root", **fields}
    return ApiKey(user.id, user.name, name, "hgk_12345678", hash, **fields)


@pytest.fixture
def todd(store: Store) -> User:
    return add_user(store, "todd")


def test_a_user_is_found_by_id_and_has_times(store: Store, todd: User) -> None:
    assert store.user_by_id(todd.id) == todd
    assert store.user_by_id("999") is None
    assert todd.created_at == todd.password_changed_at > 1_700_000_000
    change(store, lambda tx: tx.put_user(todd, hash=HASH, admin=True))
    assert the_user(store, "todd").password_changed_at == todd.password_changed_at
    change(store, lambda tx: tx.put_user(todd, hash=HASH, admin=True, password_changed_at=9))
    assert the_user(store, "todd").password_changed_at == 9


def test_only_active_administrators_are_counted(store: Store, todd: User) -> None:
    root = add_user(store, "root", admin=True)
    assert store.admin_count() == 1
    for status in (UserStatus.DISABLED, UserStatus.PENDING):
        change(store, methodcaller("put_status", root, status))
        assert the_user(store, "root").status is status
        assert not the_user(store, "root").is_active
        assert store.admin_count() == 0
    change(store, lambda tx: tx.put_status(root, UserStatus.ACTIVE))
    assert store.admin_count() == 1 and the_user(store, "root").is_active


def test_a_profile_is_kept_and_its_last_login_only_grows(store: Store, todd: User) -> None:
    assert store.profiles([todd.id, "999"]) == {todd.id: Profile()}
    profile = Profile("t@example.com", True, "Tödd", 7)
    before = change(store, lambda tx: tx.put_profile(todd, profile))
    assert store.profiles([todd.id, "999"]) == {todd.id: profile}
    for at in (50, 40):
        store.upkeep(methodcaller("touch_user", todd.id, at))
    store.upkeep(lambda tx: tx.touch_user("999", 50))
    assert store.confirmed_revision() == before
    assert store.profiles([todd.id]) == {todd.id: replace(profile, last_seen_at=50)}
    change(store, lambda tx: tx.put_profile(todd, Profile(full_name="T")))
    change(store, lambda tx: tx.link(todd, "idp", "1"))
    expected = Profile(full_name="T", last_seen_at=50, has_identity=True)
    assert store.profiles([todd.id]) == {todd.id: expected}


def test_a_key_is_found_by_its_hashes_with_its_scope(store: Store, todd: User) -> None:
    for name in ("a", "b"):
        add_database(store, name)
    grants = {"a": Privilege.READ, "b": Privilege.NONE}
    scope = KeyScope(everywhere=Privilege.WRITE, grants=grants)
    key = key_of(todd, scope=scope, expires_at=99, last_address="::1")
    change(store, lambda tx: tx.add_api_key(key))
    found = store.api_key_by_hash(key.hash)
    assert found is not None
    assert replace(found, id="") == key and found.id
    assert store.api_key_by_hash(b"2" * 32) is None
    # A database that is created again is another database.
    drop_database(store, "a")
    add_database(store, "a")
    again = store.api_key_by_hash(key.hash)
    assert again is not None and again.scope.grants == {"b": Privilege.NONE}
    rotated = replace(found, hash=b"2" * 32, previous=key.hash, previous_until=77, rotated_at=6)
    change(store, lambda tx: tx.put_api_key(rotated))
    for hash in (rotated.hash, rotated.previous):
        stored = store.api_key_by_hash(hash)
        assert stored is not None and (stored.hash, stored.previous_until) == (b"2" * 32, 77)


def test_names_of_keys_are_unique_while_they_are_not_revoked(store: Store, todd: User) -> None:
    ann = add_user(store, "ann")
    change(store, lambda tx: tx.add_api_key(key_of(todd)))
    change(store, lambda tx: tx.add_api_key(key_of(ann, hash=b"2" * 32)))
    (first,) = store.api_keys(owner_id=todd.id)
    change(store, lambda tx: tx.put_api_key(replace(first, revoked_at=3)))
    change(store, lambda tx: tx.add_api_key(key_of(todd, hash=b"3" * 32)))
    assert [key.owner for key in store.api_keys()] == ["ann", "todd"]
    assert [key.owner for key in store.api_keys(limit=1)] == ["ann"]
    after = store.api_keys(limit=1)[0].id
    assert [key.owner for key in store.api_keys(after)] == ["todd"]
    revoked = store.api_key_by_hash(first.hash)
    assert revoked is not None and revoked.revoked_at == 3
    seen: list[str] = []
    change(store, lambda tx: seen.extend(key.name for key in tx.api_keys(the_user(store, "todd"))))
    assert seen == ["k"]
    assert store.upkeep(lambda tx: tx.drop_revoked_api_keys(3)) == 0
    assert store.upkeep(lambda tx: tx.drop_revoked_api_keys(4)) == 1
    change(store, lambda tx: tx.drop_user(ann))  # upkeep leaves what readers have cached
    assert store.api_key_by_hash(first.hash) is None


def test_the_last_use_of_a_key_makes_no_revision(store: Store, todd: User) -> None:
    before = change(store, lambda tx: tx.add_api_key(key_of(todd)))
    (key,) = store.api_keys()
    store.upkeep(lambda tx: tx.touch_api_key(key.id, 70, "10.0.0.1", previous=False))
    store.upkeep(lambda tx: tx.touch_api_key(key.id, 60, "10.0.0.2", previous=True))
    store.upkeep(lambda tx: tx.touch_api_key("999", 60, "10.0.0.2", previous=True))
    (used,) = store.api_keys()
    assert (used.last_seen_at, used.previous_seen_at, used.last_address) == (70, 60, "10.0.0.2")
    assert store.confirmed_revision() == before and len(store.audit()) == before


def test_an_imported_key_is_found_by_its_number_until_it_is_settled(
    store: Store, todd: User
) -> None:
    add_database(store, "a")
    scope = KeyScope(everywhere=Privilege.NONE, grants={"a": Privilege.WRITE})
    keys = [
        key_of(todd, "k", b"1" * 32, imported="3:$2a$x", scope=scope),
        key_of(todd, "l", b"2" * 32, imported="30:$2a$x"),
        key_of(todd, "m", b"3" * 32, imported="3:$2a$y", revoked_at=5),
        key_of(todd, "n", b"4" * 32),
    ]
    for key in keys:
        change(store, methodcaller("add_api_key", key))
    first, revoked = store.imported_api_keys(3)
    assert [replace(it, id="") for it in (first, revoked)] == [keys[0], keys[2]]
    assert [key.name for key in store.imported_api_keys(30)] == ["l"]
    assert [*store.imported_api_keys(0), *store.imported_api_keys(300)] == []
    before = store.confirmed_revision()
    store.upkeep(lambda tx: tx.settle_api_key(first, b"5" * 32, "psx-abc"))
    store.upkeep(lambda tx: tx.settle_api_key(first, b"6" * 32, "late"))  # it has changed
    store.upkeep(lambda tx: tx.settle_api_key(store.api_keys()[-1], b"7" * 32, "no import"))
    settled = store.api_key_by_hash(b"5" * 32)
    assert settled == replace(first, hash=b"5" * 32, prefix="psx-abc", imported="")
    assert store.api_key_by_hash(first.hash) is None and store.api_key_by_hash(b"4" * 32)
    assert store.imported_api_keys(3) == [revoked]
    assert store.confirmed_revision() == before and len(store.audit()) == before


def test_a_session_is_found_by_its_hashes_until_it_is_dropped(store: Store, todd: User) -> None:
    session = session_of(todd, agent="Firefox", address="::1", ends_at=80)
    change(store, lambda tx: tx.add_session(session))
    (stored,) = store.sessions(user_id=todd.id)
    assert replace(stored, id="") == session
    assert store.session_by_hash(session.hash) == stored
    before = store.confirmed_revision()
    rotated = replace(stored, hash=b"2" * 32, previous=session.hash, seen=True, seen_at=9)
    store.upkeep(lambda tx: tx.put_session(rotated))
    assert store.confirmed_revision() == before
    assert store.session_by_hash(b"2" * 32) == rotated
    found: list[Session | None] = []
    store.upkeep(lambda tx: found.append(tx.session_by_hash(session.hash)))
    change(store, lambda tx: found.append(tx.session(stored.id)))
    change(store, lambda tx: found.extend(tx.sessions(todd)))
    assert found == [rotated] * 3
    change(store, lambda tx: tx.put_session(rotated.revoked("admin", 12)))
    revoked = store.session_by_hash(b"2" * 32)
    assert revoked is not None and (revoked.revoked_at, revoked.reason) == (12, "admin")
    change(store, lambda tx: tx.drop_session(revoked))
    assert store.session_by_hash(b"2" * 32) is None and not store.sessions()


def test_ended_sessions_are_deleted_without_a_revision(store: Store, todd: User) -> None:
    for number in range(3):
        hash = bytes([number]) * 32
        change(store, methodcaller("add_session", session_of(todd, hash)))
    sessions = store.sessions()
    assert [it.id for it in store.sessions(sessions[0].id, 1)] == [sessions[1].id]
    before = store.confirmed_revision()
    store.upkeep(lambda tx: tx.drop_sessions(sessions[:2]))
    assert store.sessions() == sessions[2:]
    assert store.confirmed_revision() == before


def test_a_dropped_user_takes_the_account_along(store: Store, todd: User) -> None:
    change(store, lambda tx: tx.put_profile(todd, Profile("t@example.com")))
    change(store, lambda tx: tx.add_api_key(key_of(todd)))
    change(store, lambda tx: tx.add_session(session_of(todd)))
    change(store, lambda tx: tx.drop_user(todd))
    add_user(store, "todd")
    assert store.api_key_by_hash(b"1" * 32) is None
    assert store.session_by_hash(b"1" * 32) is None
    assert not store.api_keys() and not store.sessions() and not store.profiles([todd.id])


def test_a_change_that_fails_leaves_the_account(store: Store, todd: User) -> None:
    def fail(tx: Tx) -> None:
        tx.add_api_key(key_of(todd))
        tx.put_status(todd, UserStatus.DISABLED)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        change(store, fail)
    assert not store.api_keys() and the_user(store, "todd").is_active


def test_users_are_listed_by_name(store: Store) -> None:
    for name in ("todd", "Ann", "ann", "日本", "tele%", 'x"y'):
        add_user(store, name)
    add_database(store, "shop")

    def grant(tx: Tx) -> None:
        database = tx.database("shop")
        assert database is not None
        tx.put_grant(the_user(store, "ann"), database, Privilege.READ)

    change(store, grant)

    def names(*arguments: Any) -> list[str]:
        return [user.name for user in store.users_by_name(*arguments)]

    everything = ["Ann", "ann", "tele%", "todd", 'x"y', "日本"]
    assert names() == everything and store.user_count() == 6
    assert names("", "ann", 2) == ["tele%", "todd"]
    assert (names("nn"), names("%"), names("本"), names("T")) == (
        ["Ann", "ann"],
        ["tele%"],
        ["日本"],
        [],
    )
    assert names("\udcff") == names("", "日本") == []
    assert dict(store.users_by_name("ann")[0].grants) == {"shop": Privilege.READ}


def test_the_newest_audit_records_come_first(store: Store) -> None:
    assert store.newest_audit() == []
    for name in ("a", "b", "c"):
        add_user(store, name)
    assert [record.id for record in store.newest_audit()] == [3, 2, 1]
    assert [record.id for record in store.newest_audit(3, 1)] == [2]
    assert store.newest_audit(1) == []


def test_sessions_and_keys_are_counted_by_state(store: Store, todd: User) -> None:
    limits = SessionLimits(inactive=100, lifetime=1000)
    assert store.account_counts(limits, 500) == AccountCounts()
    sessions = [
        session_of(todd, b"1" * 32, rotated_at=450, created_at=400),
        session_of(todd, b"2" * 32, rotated_at=300, seen_at=401, created_at=400),
        session_of(todd, b"3" * 32, rotated_at=400, created_at=400),  # unused for too long
        session_of(todd, b"4" * 32, rotated_at=450, created_at=-600),  # too old
        session_of(todd, b"5" * 32, rotated_at=450, created_at=400, ends_at=500),
        session_of(todd, b"6" * 32, rotated_at=450, created_at=400, revoked_at=460),
    ]
    ends = {"a": 0, "b": 500, "c": 501, "d": 500 + 7 * 86_400, "e": 501 + 7 * 86_400}
    for session in sessions:
        change(store, methodcaller("add_session", session))
    for place, (name, end) in enumerate(ends.items()):
        key = key_of(todd, name, bytes([place]) * 32, expires_at=end)
        change(store, methodcaller("add_api_key", key))
    revoked = key_of(todd, "f", b"9" * 32, revoked_at=5)
    change(store, methodcaller("add_api_key", revoked))
    assert store.account_counts(limits, 500) == AccountCounts(2, 4, 2, 1)
    active = [it for it in sessions if it.refusal(limits, 500) is None]
    assert len(active) == 2, "the rule of a session itself"
