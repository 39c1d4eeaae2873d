"""The engine's methods for Python programs: their effect, their errors, and their audit."""

from collections.abc import Callable

import pytest

from headgate_engine import (
    UNRESTRICTED,
    BadPassword,
    DatabaseNotFound,
    Engine,
    InvalidName,
    LastAdmin,
    StatementError,
    UserExists,
    UsernameRequired,
    UserNotFound,
)
from headgate_grammar import Privilege

READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE


@pytest.fixture
def full(engine: Engine) -> Engine:
    engine.create_database("a")
    engine.create_user("todd", "Todd-1")
    return engine


def test_users_databases_and_grants_are_made_and_listed(full: Engine) -> None:
    full.create_user("ann", "Ann-1", admin=True)
    full.create_database("b")
    full.grant(READ, "a", "todd")
    full.grant(ALL, "b", "todd")
    full.revoke(WRITE, "b", "todd")
    assert [(one.name, one.admin) for one in full.users()] == [
        ("root", True),
        ("todd", False),
        ("ann", True),
    ]
    assert full.databases() == ["a", "b"]
    assert full.grants("todd") == {"a": READ, "b": READ}
    full.revoke(ALL, "a", "todd")
    full.drop_database("b")
    assert full.grants("todd") == {"a": NONE}
    full.set_password("todd", "Todd-2")
    assert full.authenticate("todd", "Todd-2").name == "todd"
    full.grant_admin("todd")
    full.revoke_admin("ann")
    full.drop_user("ann")
    assert [(one.name, one.admin) for one in full.users()] == [("root", True), ("todd", True)]
    statements = [record.statement for record in full.store.audit()]
    assert statements[-4:] == [
        "SET PASSWORD FOR todd = [REDACTED]",
        "GRANT ALL PRIVILEGES TO todd",
        "REVOKE ALL PRIVILEGES FROM ann",
        "DROP USER ann",
    ]


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda engine: engine.create_user("todd", "other"), UserExists),
        (lambda engine: engine.create_user("", "x"), UsernameRequired),
        (lambda engine: engine.create_user("x", "p" * 73), BadPassword),
        (lambda engine: engine.create_user("\ud800", "x"), InvalidName),
        (lambda engine: engine.drop_user("ghost"), UserNotFound),
        (lambda engine: engine.drop_user("root"), LastAdmin),
        (lambda engine: engine.set_password("ghost", "x"), UserNotFound),
        (lambda engine: engine.set_password("todd", "a\0"), BadPassword),
        (lambda engine: engine.grant(READ, "z", "todd"), DatabaseNotFound),
        (lambda engine: engine.grant(READ, "a", "ghost"), UserNotFound),
        (lambda engine: engine.revoke(READ, "z", "todd"), DatabaseNotFound),
        (lambda engine: engine.grant_admin("ghost"), UserNotFound),
        (lambda engine: engine.revoke_admin("root"), LastAdmin),
        (lambda engine: engine.create_database("a/b"), InvalidName),
        (lambda engine: engine.grants("ghost"), UserNotFound),
    ],
)
def test_each_error_is_raised_and_changes_nothing(
    full: Engine, work: Callable[[Engine], object], error: type[StatementError]
) -> None:
    before = full.store.confirmed_revision()
    with pytest.raises(error):
        work(full)
    assert full.store.confirmed_revision() == before


def test_what_is_there_already_stays(full: Engine) -> None:
    before = full.store.confirmed_revision()
    full.create_user("todd", "Todd-1")
    full.create_database("a")
    full.drop_database("none")
    assert full.store.confirmed_revision() == before


def test_results_raise_their_first_error(full: Engine) -> None:
    assert full.query("SHOW USERS", UNRESTRICTED).raise_for_error()[0].series
    results = full.query("DROP USER ghost; SHOW USERS", UNRESTRICTED)
    assert [result.error for result in results] == ["user not found", "not executed"]
    with pytest.raises(StatementError, match="user not found"):
        results.raise_for_error()


def test_a_query_takes_bound_parameters(full: Engine) -> None:
    full.query("SHOW GRANTS FOR todd", UNRESTRICTED, params={"unused": 1}).raise_for_error()
    name = "x' OR 1=1"
    text = 'CREATE USER "x\' OR 1=1" WITH PASSWORD $password'
    full.query(text, UNRESTRICTED, params={"password": "a'b"}).raise_for_error()
    assert full.authenticate(name, "a'b").name == name


def test_many_users_are_listed_in_pages(full: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate_engine.administration._PAGE_SIZE", 1)
    assert [one.name for one in full.users()] == ["root", "todd"]
