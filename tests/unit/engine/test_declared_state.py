"""Declared users and databases: the planned statements, their effect, and repetition."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate_engine import (
    UNRESTRICTED,
    DeclaredDatabase,
    DeclaredState,
    DeclaredUser,
    Engine,
    MemoryStore,
    Passwords,
    PlannedChange,
    Principal,
    RetentionPolicy,
    StatementError,
    apply_changes,
    plan_changes,
)
from headgate_grammar import Privilege

READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE
HASH = "$2a$04$" + "a" * 53
SETUP = (
    "CREATE DATABASE a; CREATE DATABASE b; CREATE USER todd WITH PASSWORD 'Todd-1';"
    "GRANT READ ON a TO todd; GRANT ALL ON b TO todd"
)
DAY = 86_400 * 10**9
WEEK = 7 * DAY
User, Database = DeclaredUser, DeclaredDatabase


def plan(engine: Engine, state: DeclaredState, **options: Any) -> list[PlannedChange]:
    return plan_changes(engine, state, **options)


def texts(changes: Sequence[PlannedChange]) -> list[str]:
    return [str(one.statement) for one in changes]


def execute(engine: Engine, text: str) -> None:
    assert not any(result.error for result in engine.query(text, UNRESTRICTED))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (DeclaredState(), []),
        (DeclaredState([Database("a")]), []),
        (DeclaredState([Database("c")]), ["CREATE DATABASE c"]),
        (
            DeclaredState(
                [Database("c", RetentionPolicy("week", 604_800 * 10**9, 1, 86_400 * 10**9))]
            ),
            [
                "CREATE DATABASE c WITH DURATION 168h0m0s REPLICATION 1"
                " SHARD DURATION 24h0m0s NAME week"
            ],
        ),
        (
            DeclaredState(users=[User("ann", "Ann-1")]),
            ["CREATE USER ann WITH PASSWORD [REDACTED]"],
        ),
        (
            DeclaredState(
                [Database("c")], [User("a b", hash=HASH, admin=True, grants={"c": READ})]
            ),
            [
                "CREATE DATABASE c",
                'CREATE USER "a b" WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES',
                'GRANT READ ON c TO "a b"',
            ],
        ),
        (
            DeclaredState([Database("a", RetentionPolicy("week", WEEK, 1, DAY))]),
            [
                "CREATE RETENTION POLICY week ON a DURATION 1w REPLICATION 1"
                " SHARD DURATION 1d DEFAULT"
            ],
        ),
        (
            DeclaredState([Database("a", RetentionPolicy("autogen", WEEK, 2, DAY))]),
            [
                "ALTER RETENTION POLICY autogen ON a DURATION 1w REPLICATION 2 SHARD DURATION 1d",
            ],
        ),
        (
            DeclaredState([Database("c", None, (RetentionPolicy("x", WEEK, 1, DAY),))]),
            [
                "CREATE DATABASE c WITH DURATION 168h0m0s REPLICATION 1 SHARD DURATION 24h0m0s"
                " NAME x"
            ],
        ),
        (DeclaredState(users=[User("todd")]), []),
        (DeclaredState(users=[User("todd", "Todd-1", admin=False)]), []),
        (DeclaredState(users=[User("todd", "Todd-2")]), ["SET PASSWORD FOR todd = [REDACTED]"]),
        (DeclaredState(users=[User("todd", hash=HASH)]), ["SET PASSWORD FOR todd = [REDACTED]"]),
        (DeclaredState(users=[User("todd", admin=True)]), ["GRANT ALL PRIVILEGES TO todd"]),
        (DeclaredState(users=[User("todd", grants={"a": READ, "b": ALL})]), []),
        (
            DeclaredState(users=[User("todd", grants={"a": WRITE})]),
            ["GRANT WRITE ON a TO todd", "REVOKE ALL PRIVILEGES ON b FROM todd"],
        ),
        (
            DeclaredState(users=[User("todd", grants={"a": NONE, "b": ALL})]),
            ["REVOKE ALL PRIVILEGES ON a FROM todd"],
        ),
        (
            # The flag is taken from one administrator only after another has it.
            DeclaredState(users=[User("root", admin=False), User("todd", admin=True)]),
            ["GRANT ALL PRIVILEGES TO todd", "REVOKE ALL PRIVILEGES FROM root"],
        ),
    ],
)
def test_a_state_becomes_statements_and_then_no_more(
    engine: Engine, state: DeclaredState, expected: list[str]
) -> None:
    execute(engine, SETUP)
    changes = plan(engine, state)
    assert texts(changes) == expected
    before = engine.store.confirmed_revision()
    apply_changes(engine, changes, author=Principal(engine.user("root")), address="here")
    assert engine.store.confirmed_revision() == before + bool(expected)
    if expected:
        record = engine.store.audit()[-1]
        assert (record.actor, record.address) == ("root", "here")
        assert record.statement == "; ".join(expected)
    assert plan(engine, state) == []


def test_pruning_drops_what_is_not_declared(engine: Engine) -> None:
    execute(engine, SETUP)
    state = DeclaredState([Database("a")], [User("root")])
    changes = plan(engine, state, prune=True)
    assert texts(changes) == ["DROP USER todd", "DROP DATABASE b"]
    apply_changes(engine, changes)
    assert engine.user("todd") is None and [one.name for one in engine.store.databases()] == ["a"]


def test_pruning_drops_nothing_of_a_kind_that_is_not_declared(engine: Engine) -> None:
    execute(engine, SETUP)
    assert texts(plan(engine, DeclaredState([Database("a")]), prune=True)) == ["DROP DATABASE b"]
    assert texts(plan(engine, DeclaredState(users=[User("root")]), prune=True)) == [
        "DROP USER todd"
    ]
    assert texts(plan(engine, DeclaredState(), prune=True)) == []


@pytest.mark.parametrize("users", [[], [User("todd")], [User("root", admin=False)]])
def test_pruning_may_not_drop_all_administrators(engine: Engine, users: list[DeclaredUser]) -> None:
    execute(engine, SETUP)
    engine.keep_last_admin = False
    with pytest.raises(ValueError, match="no administrator would remain"):
        plan(engine, DeclaredState(users=users), prune=True)


def test_changes_with_an_unmet_requirement_are_not_made(engine: Engine) -> None:
    changes = plan(engine, DeclaredState([Database("c")]))
    assert not apply_changes(engine, changes, require=lambda tx: tx.empty())
    assert not engine.store.databases()
    assert apply_changes(engine, changes, require=lambda tx: tx.admin_count() == 1)
    assert [one.name for one in engine.store.databases()] == ["c"]


def test_another_password_with_the_same_salt_is_another_password(engine: Engine) -> None:
    user = engine.user("root")
    assert user is not None
    other = Passwords(cost=4).rehash(user, "Other-1")
    changes = plan(engine, DeclaredState(users=[User("root", hash=other)]))
    assert texts(changes) == ["SET PASSWORD FOR root = [REDACTED]"]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (DeclaredState(users=[User("new")]), "user new does not exist yet: it needs a password"),
        (DeclaredState(users=[User("", "x")]), "user : username required"),
        (DeclaredState(users=[User("x", hash="$1$abc")]), "the password hash is not one of bcrypt"),
        (DeclaredState(users=[User("todd", hash="x")]), "the password hash is not one of bcrypt"),
        (
            DeclaredState(users=[User("x", "p" * 73)]),
            "user x: bcrypt: password length exceeds 72 bytes",
        ),
        (DeclaredState(users=[User("todd", grants={"z": READ})]), "database not found: z"),
        (DeclaredState([Database("a/b")]), "database a/b: invalid name"),
        (DeclaredState([Database("a\udcff")]), "invalid name"),
        (DeclaredState(users=[User("u\udcff", "x")]), "invalid name"),
        (
            DeclaredState([Database("z", RetentionPolicy(duration=2**63))]),
            "database z: retention policy duration must be less than 292 years",
        ),
        (
            DeclaredState([Database("z", RetentionPolicy(shard_duration=2**63))]),
            "retention policy duration must be less than 292 years",
        ),
        (
            DeclaredState([Database("z", RetentionPolicy(replication=2**31))]),
            "retention policy replication must be at most 2147483647",
        ),
    ],
)
def test_a_state_that_cannot_be_is_refused(
    engine: Engine, state: DeclaredState, error: str
) -> None:
    execute(engine, SETUP)
    with pytest.raises((StatementError, ValueError)) as refused:
        plan(engine, state)
    assert error in str(refused.value)


def test_all_changes_are_made_or_none(engine: Engine) -> None:
    changes = plan(engine, DeclaredState([Database("c")], [User("root", admin=False)]))
    before = engine.store.confirmed_revision()
    with pytest.raises(StatementError, match="cannot remove the last admin user"):
        apply_changes(engine, changes)
    assert engine.store.confirmed_revision() == before and not engine.store.databases()


def test_a_password_of_another_cost_is_the_same_password(engine: Engine) -> None:
    user = engine.user("root")
    assert user is not None
    dearer = Passwords(cost=5).rehash(user, "Toor-1")
    assert plan(engine, DeclaredState(users=[User("root", hash=dearer)])) == []


def test_the_audit_of_many_changes_is_short(engine: Engine) -> None:
    changes = plan(engine, DeclaredState([Database(f"d{number}") for number in range(150)]))
    apply_changes(engine, changes)
    assert engine.store.audit()[-1].statement.endswith(
        "CREATE DATABASE d99; -- and 50 more changes"
    )


NAMES = st.sampled_from(["a", "b", "c"])
STATES = st.builds(
    DeclaredState,
    st.lists(NAMES.map(Database), unique_by=lambda one: one.name),
    st.lists(
        st.builds(
            User,
            st.sampled_from(["u", "v", "root", "é \"'"]),
            hash=st.sampled_from([HASH, "$2b$05$" + "b" * 53]),
            admin=st.sampled_from([None, True, False]),
            grants=st.none()
            | st.dictionaries(NAMES, st.sampled_from([Privilege(number) for number in range(4)])),
        ),
        unique_by=lambda one: one.name,
    ),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STATES, min_size=1, max_size=4), st.booleans())
def test_any_state_is_reached_and_stays(states: list[DeclaredState], prune: bool) -> None:
    engine = Engine(MemoryStore(), Passwords(cost=4), keep_last_admin=False)
    for state in states:
        options: dict[str, Any] = {"prune": prune}
        try:
            changes = plan(engine, state, **options)
        except (StatementError, ValueError):
            continue  # an undeclared database has a grant, or no administrator would remain
        apply_changes(engine, changes)
        again = plan(engine, state, **options)
        assert texts(again) == []
        for user in state.users or ():
            stored = engine.user(user.name)
            assert stored is not None and stored.hash == user.hash
            if user.grants is not None:
                held = {name: it for name, it in stored.grants.items() if it}
                assert held == {name: it for name, it in user.grants.items() if it}
