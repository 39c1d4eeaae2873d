"""The contract suite of the Protocol `Store` for identities and sessions of their providers."""

from contextlib import closing
from dataclasses import replace
from operator import methodcaller
from pathlib import Path

import pytest

from headgate_engine import (
    Audit,
    Profile,
    SessionTokens,
    SqliteStore,
    Store,
    User,
    UserStatus,
)
from support.old_stores import create_old_store
from support.store_changes import add_user, change, session_of, the_user

IDP, OTHER = "https://idp.example", "https://other.example"


@pytest.fixture
def todd(store: Store) -> User:
    return add_user(store, "todd")


def test_a_user_has_identities_of_several_issuers(store: Store, todd: User) -> None:
    ann = add_user(store, "ann")
    for user, issuer, subject in ((todd, IDP, "1"), (ann, IDP, "2"), (todd, OTHER, "1")):
        change(store, methodcaller("link", user, issuer, subject))
    first, second = store.identities(todd.id)
    assert [(it.issuer, it.subject) for it in (first, second)] == [(IDP, "1"), (OTHER, "1")]
    assert first.linked_at > 1_700_000_000 and first.id != second.id
    assert store.user_by_identity(OTHER, "1") == the_user(store, "todd")
    assert [it.name for it in store.users_of_issuer(IDP)] == ["todd", "ann"]
    assert [it.name for it in store.users_of_issuer(IDP, todd.id)] == ["ann"]
    assert [it.name for it in store.users_of_issuer(IDP, limit=1)] == ["todd"]
    change(store, methodcaller("unlink", todd, first))
    assert store.identities(todd.id) == [second]
    assert store.user_by_identity(IDP, "1") is None
    # An identity that was unlinked may come back with a token from before.
    assert store.identity_dropped_at(IDP, "1") is None
    change(store, methodcaller("drop_user", todd))
    assert store.identities(todd.id) == [] and store.user_by_identity(OTHER, "1") is None
    assert store.identity_dropped_at(OTHER, "1") is not None


def test_users_are_found_by_verified_addresses_alone(store: Store) -> None:
    profiles = {
        "a": Profile("Same@Example.com", True),
        "b": Profile("same@example.com", False),
        "c": Profile("other@example.com", True),
        "d": Profile("SAME@example.com", True),
        "e": Profile("same@example.com", True),
    }
    for name, profile in profiles.items():
        user = add_user(store, name)
        change(store, methodcaller("put_profile", user, profile))
    emails = ("same@EXAMPLE.com", "other@example.com", "none@example.com", "")
    by_email = [methodcaller("users_by_verified_email", it) for it in emails]
    found = [store.transact(read, Audit("", "", ""))[0] for read in by_email]
    assert [[it.name for it in users] for users in found] == [["a", "d"], ["c"], [], []]


def test_pending_users_are_listed_in_order_of_creation(store: Store, todd: User) -> None:
    for name in ("b", "a"):
        user = add_user(store, name)
        change(store, methodcaller("put_status", user, UserStatus.PENDING))
    change(store, methodcaller("put_status", todd, UserStatus.DISABLED))
    names = store.transact(lambda tx: [it.name for it in tx.pending_users()], Audit("", "", ""))[0]
    assert names == ["b", "a"]


def test_a_session_has_tokens_of_its_provider_until_it_ends(store: Store, todd: User) -> None:
    made = session_of(todd, provider="google", sid="s1", auth_at=5, access_expires_at=99)
    id = store.transact(lambda tx: tx.add_session(made), Audit("", "", ""))[0]
    stored = store.session_by_hash(made.hash)
    assert stored == replace(made, id=id)
    tokens = SessionTokens(b"refresh", b"id", 7, 2)
    assert store.session_tokens(id) is None
    before = change(
        store,
        methodcaller("put_session", stored),
        methodcaller("put_session_tokens", id, tokens),
    )
    assert store.session_tokens(id) == tokens
    renewed = replace(tokens, refresh_token=b"new", failures=0)
    store.upkeep(methodcaller("put_session_tokens", id, renewed))
    store.upkeep(methodcaller("put_session_tokens", "999", renewed))
    assert store.upkeep(methodcaller("session_tokens", id)) == renewed
    assert store.session_tokens("999") is None and store.confirmed_revision() == before
    assert "b'" not in repr(renewed)
    for sid, provider, found in (
        ("s1", "google", [stored]),
        ("s1", "other", []),
        ("s2", "google", []),
        ("", "google", []),
    ):
        by_sid = methodcaller("sessions_by_sid", provider, sid)
        assert store.transact(by_sid, Audit("", "", ""))[0] == found, sid
    change(store, methodcaller("drop_session", stored))
    assert store.session_tokens(id) is None


def test_a_token_is_used_once_until_its_record_is_deleted(store: Store, todd: User) -> None:
    use = methodcaller("use_token", b"d" * 32, 100)
    assert store.upkeep(use) is True
    assert store.upkeep(use) is False
    assert store.upkeep(methodcaller("use_token", b"e" * 32, 100)) is True
    assert store.upkeep(methodcaller("drop_used_tokens", 100)) == 0
    assert store.upkeep(methodcaller("drop_used_tokens", 101)) == 2
    assert store.upkeep(use) is True


def test_a_store_of_version_6_keeps_its_identities_and_sessions(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=6)
    with closing(SqliteStore(path)) as store:
        assert (store.upgraded, store.check()) == (6, [])
        todd = the_user(store, "todd")
        (identity,) = store.identities(todd.id)
        assert (identity.issuer, identity.subject, identity.linked_at) == ("https://idp", "42", 0)
        session = store.session_by_hash(bytes(32))
        assert session is not None and (session.id, session.auth_at, session.sid) == ("7", 0, "")
        change(store, methodcaller("link", todd, OTHER, "42"))
        assert len(store.identities(todd.id)) == 2 and len(store.api_keys()) == 1
        assert store.transact(
            lambda tx: [it.name for it in tx.users_by_verified_email("todd@example.com")],
            Audit("", "", ""),
        )[0] == ["todd"]
