"""Users that log in with a token: their names and privileges."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    MemoryStore,
    Passwords,
    Principal,
    SignUpDisabled,
    SqliteStore,
    Store,
    TokenRights,
)
from headgate_engine.linking import ProvisioningPolicy
from headgate_grammar import Privilege
from support.old_stores import create_old_store

TODD = Identity("https://idp", "42", "todd", "todd@example.com")
READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    store: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "s.db")
    with closing(store):
        engine = Engine(store, Passwords(4))
        query(engine, "CREATE USER root WITH PASSWORD 'r' WITH ALL PRIVILEGES")
        query(engine, "CREATE USER plain WITH PASSWORD 'p'; CREATE DATABASE a; CREATE DATABASE b")
        yield engine


def query(engine: Engine, text: str) -> None:
    assert not any(result.error for result in engine.query(text, UNRESTRICTED))


def grants(engine: Engine, name: str) -> dict[str, Privilege]:
    user = engine.user(name)
    assert user is not None
    return {database: on for database, on in user.grants.items() if on}


def test_a_new_identity_becomes_a_user_without_a_password(engine: Engine) -> None:
    with pytest.raises(SignUpDisabled):
        engine.provision(TODD, None)
    user = engine.provision(TODD, TokenRights({"a": READ}), "192.0.2.1", sign_up=True)
    assert (user.name, user.admin, dict(user.grants)) == ("todd", False, {"a": READ})
    for password in ("", "*no password*", user.hash):
        with pytest.raises(AuthenticationFailed):
            engine.authenticate("todd", password)
    record = engine.store.audit()[-1]
    assert (record.actor, record.address) == ("jwt https://idp 42", "192.0.2.1")
    assert record.statement == "CREATE USER todd -- no password; GRANT READ ON a TO todd"


def test_an_identity_stays_the_same_user_under_another_name(engine: Engine) -> None:
    first = engine.provision(TODD, None, sign_up=True)
    renamed = Identity("https://idp", "42", "tod")
    assert engine.provision(renamed, None, sign_up=True).id == first.id
    assert engine.find_provisioned(renamed, None) == engine.user("todd")
    with pytest.raises(IdentityTaken):
        engine.provision(Identity("https://idp", "43", "todd"), None, sign_up=True, link="any")
    with pytest.raises(IdentityTaken):
        engine.provision(Identity("https://other", "42", "todd"), None, sign_up=True, link="any")


def test_an_identity_ends_with_its_user(engine: Engine) -> None:
    first = engine.provision(TODD, None, sign_up=True)
    query(engine, "DROP USER todd; CREATE USER todd WITH PASSWORD 'other'")
    later = issued(time.time() + 1)
    assert engine.find_provisioned(later, None) is None
    with pytest.raises(IdentityTaken):
        engine.provision(later, None, sign_up=True)
    assert engine.provision(later, None, link="non_admin").id != first.id


def issued(at: float | None) -> Identity:
    return replace(TODD, issued_at=at)


@pytest.mark.parametrize(
    ("after", "back"), [(None, False), (-3600.0, False), (0.0, False), (1e-3, True), (60.0, True)]
)
def test_only_a_token_from_after_the_drop_brings_a_dropped_identity_back(
    engine: Engine, after: float | None, back: bool
) -> None:
    engine.provision(TODD, None, sign_up=True)
    query(engine, "DROP USER todd")
    dropped = engine.store.identity_dropped_at(TODD.issuer, TODD.subject)
    assert dropped is not None
    token = issued(None if after is None else dropped + after)
    tries: list[Callable[[], Any]] = [
        lambda: engine.find_provisioned(token, TokenRights({"a": READ})),
        lambda: engine.provision(token, TokenRights({"a": READ}), sign_up=True, dry_run=True),
        lambda: engine.provision(token, TokenRights({"a": READ}), sign_up=True, link="any"),
    ]
    for attempt in tries:
        if back:
            attempt()
        else:
            with pytest.raises(IdentityDropped):
                attempt()
    assert (engine.user("todd") is not None) is back


def test_a_token_from_before_the_drop_stays_refused_when_its_identity_is_back(
    engine: Engine,
) -> None:
    old = issued(time.time())
    engine.provision(old, None, sign_up=True)
    query(engine, "DROP USER todd")
    new = issued(time.time() + 1)
    user = engine.provision(new, None, sign_up=True)
    assert engine.find_provisioned(new, None) == user
    with pytest.raises(IdentityDropped):
        engine.find_provisioned(old, None)
    with pytest.raises(IdentityDropped):
        engine.provision(old, TokenRights(admin=True), sign_up=True, link="any")


def test_a_drop_during_a_login_is_seen_by_its_transaction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issued(time.time())
    engine.provision(token, None, sign_up=True)
    transact = engine.store.transact

    def behind_a_drop(change: Any, audit: Any) -> Any:
        monkeypatch.undo()
        query(engine, "DROP USER todd")
        return transact(change, audit)

    monkeypatch.setattr(engine.store, "transact", behind_a_drop)
    with pytest.raises(IdentityDropped):
        engine.provision(token, TokenRights({"a": READ}), sign_up=True)
    assert engine.user("todd") is None


def test_identities_of_other_issuers_and_subjects_are_not_dropped_with_one(engine: Engine) -> None:
    engine.provision(TODD, None, sign_up=True)
    query(engine, "DROP USER todd")
    for other in (replace(TODD, subject="43"), replace(TODD, issuer="https://two", name="tina")):
        engine.provision(other, None, sign_up=True)
    assert [engine.user(name) is not None for name in ("todd", "tina")] == [True, True]


def test_a_dropped_identity_is_known_to_other_processes_and_after_a_restart(
    tmp_path: Path,
) -> None:
    token = issued(time.time())
    path = tmp_path / "s.db"
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        Engine(one, Passwords(4)).provision(token, None, sign_up=True)
        assert Engine(other).find_provisioned(token, None) is not None
        query(Engine(one), "DROP USER todd")
        with pytest.raises(IdentityDropped):
            Engine(other).find_provisioned(token, None)
    with closing(SqliteStore(path)) as again, pytest.raises(IdentityDropped):
        Engine(again).provision(token, None, sign_up=True)


def test_a_user_is_adopted_only_where_that_is_set(engine: Engine) -> None:
    assert ProvisioningPolicy().link == "none"
    with pytest.raises(IdentityTaken) as refused:
        engine.provision(Identity("", "1", "plain"), None, sign_up=True)
    assert "user name" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "adopt", "comes_in"),
    [
        ("plain", "none", False),
        ("plain", "non_admin", True),
        ("plain", "any", True),
        ("root", "none", False),
        ("root", "non_admin", False),
        ("root", "any", True),
    ],
)
def test_a_local_user_is_taken_over_only_as_is_set(
    engine: Engine, name: str, adopt: str, comes_in: bool
) -> None:
    identity = Identity("", "1", name)
    if comes_in:
        assert engine.provision(identity, None, link=adopt).name == name  # type: ignore[arg-type]
    else:
        with pytest.raises(IdentityTaken):
            engine.provision(identity, None, link=adopt)  # type: ignore[arg-type]
        assert engine.find_provisioned(identity, None) is None


def test_grants_become_exactly_what_the_token_says(engine: Engine) -> None:
    steps = [
        (TokenRights({"a": READ, "gone": ALL}), {"a": READ}),
        (TokenRights({"a": WRITE}), {"a": WRITE}),
        (TokenRights({"b": ALL}), {"b": ALL}),
        (TokenRights({"a": READ}, all_databases=WRITE), {"a": ALL, "b": WRITE}),
        (None, {"a": ALL, "b": WRITE}),
        (TokenRights(), {}),
    ]
    for rights, expected in steps:
        engine.provision(TODD, rights, sign_up=True)
        assert grants(engine, "todd") == expected


def test_every_database_is_not_the_internal_one(engine: Engine) -> None:
    query(engine, "CREATE DATABASE _internal")
    engine.provision(TODD, TokenRights(all_databases=READ), sign_up=True)
    assert grants(engine, "todd") == {"a": READ, "b": READ}
    engine.provision(TODD, TokenRights({"_internal": READ}))
    assert grants(engine, "todd") == {"_internal": READ}


def test_only_what_changes_is_written(engine: Engine) -> None:
    rights = TokenRights({"a": READ}, admin=False)
    engine.provision(TODD, rights, sign_up=True)
    before = len(engine.store.audit())
    for _ in range(3):
        assert engine.find_provisioned(TODD, rights) is not None
        engine.provision(TODD, rights)
    assert len(engine.store.audit()) == before
    engine.provision(TODD, TokenRights({"b": READ}, admin=False))
    assert [record.statement for record in engine.store.audit()[before:]] == [
        "GRANT READ ON b TO todd; REVOKE READ ON a FROM todd"
    ]


def test_the_admin_flag_follows_the_token_except_for_the_last_administrator(
    engine: Engine,
) -> None:
    assert engine.provision(TODD, TokenRights(admin=True), sign_up=True).admin
    assert not engine.provision(TODD, TokenRights(admin=False)).admin
    engine.provision(TODD, TokenRights(admin=True))
    query(engine, "DROP USER root")
    assert engine.provision(TODD, TokenRights(admin=False)).admin


def test_one_can_see_before_what_would_come_of_it(engine: Engine) -> None:
    before = len(engine.store.audit())
    seen = engine.provision(TODD, TokenRights({"a": READ}), sign_up=True, dry_run=True)
    assert (seen.name, dict(seen.grants)) == ("todd", {"a": READ})
    assert engine.user("todd") is None and len(engine.store.audit()) == before
    with pytest.raises(SignUpDisabled):
        engine.provision(TODD, None, dry_run=True)


def test_a_store_of_version_2_takes_identities_after_its_upgrade(tmp_path: Path) -> None:
    import apsw

    path = tmp_path / "s.db"
    create_old_store(path, version=3)
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE identities; DELETE FROM users; PRAGMA user_version = 2")
    connection.close()
    with closing(SqliteStore(path)) as store:
        assert store.upgraded == 2
        assert Engine(store).provision(TODD, None, sign_up=True).name == "todd"


def test_an_identity_is_not_taken_for_another_user_with_its_former_name(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = engine.store.transact

    def swapped(change: Any, audit: Any) -> Any:
        done = transact(change, audit)
        monkeypatch.undo()
        query(engine, "DROP USER todd; CREATE USER todd WITH PASSWORD 'x' WITH ALL PRIVILEGES")
        return done

    monkeypatch.setattr(engine.store, "transact", swapped)
    with pytest.raises(SignUpDisabled):
        engine.provision(TODD, None, sign_up=True)


def test_the_last_administrator_needs_no_write_to_stay_one(engine: Engine) -> None:
    engine.provision(TODD, TokenRights(admin=True), sign_up=True)
    query(engine, "DROP USER root")
    assert engine.find_provisioned(TODD, TokenRights(admin=False)) is not None
    query(engine, "GRANT ALL PRIVILEGES TO plain")
    assert engine.find_provisioned(TODD, TokenRights(admin=False)) is None


def test_the_audit_says_nothing_that_was_not_done(engine: Engine) -> None:
    engine.provision(TODD, TokenRights(admin=True), sign_up=True)
    query(engine, "DROP USER root")
    engine.provision(TODD, TokenRights({"a": READ}, admin=False))
    last = engine.store.audit()[-1]
    assert last.statement == "GRANT READ ON a TO todd"
    user = engine.user("todd")
    assert user is not None and user.admin


def test_what_is_lent_is_no_admin_flag(engine: Engine) -> None:
    user = engine.provision(TODD, TokenRights({"b": ALL}), sign_up=True)
    assert engine.with_transient_grants(user, TokenRights({"a": READ}, admin=True)).admin is False
    query(engine, "GRANT ALL PRIVILEGES TO todd")
    now = engine.user("todd")
    assert now is not None
    assert [
        engine.with_transient_grants(now, TokenRights(admin=said)).admin
        for said in (True, None, False)
    ] == [*(True, True, False)]
    principal = Principal(
        now, "jwt", identity=TODD, transient_rights=TokenRights({"a": READ}, admin=False)
    )
    renewed = engine.renew(principal).user
    assert renewed is not None
    assert (renewed.admin, dict(renewed.grants)) == (False, {"a": READ})
