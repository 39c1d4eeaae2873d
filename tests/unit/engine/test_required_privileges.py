"""Required privileges of statements, and decisions for users, as tables."""

import typing
from pathlib import Path

import pytest

from headgate_engine import ADMIN, RequiredPrivilege, User, allows, is_write, required_privileges
from headgate_grammar import Privilege, Statement, parse

READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE


TABLE = [
    tuple(line.split("\t"))
    for line in Path(__file__).with_name("required_privileges.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_a_statement_needs_what_influxdb_requires_or_more(row: tuple[str, ...]) -> None:
    text, influxdbs, changing, *ours = row
    (statement,) = parse(text)
    needed = "; ".join(map(str, required_privileges(statement, "param_db"))) or "nothing"
    assert needed == (ours[0] if ours else influxdbs)
    assert is_write(statement) is (changing == "changes")


def test_the_table_has_every_kind_of_statement() -> None:
    kinds = {type(parse(row[0])[0]) for row in TABLE}
    assert kinds == set(typing.get_args(Statement))


@pytest.mark.parametrize("granted", [NONE, READ, WRITE, ALL])
@pytest.mark.parametrize("needed", [READ, WRITE, ALL])
@pytest.mark.parametrize("database", ["db", "other", ""])
def test_a_grant_allows_what_it_contains_on_its_database_only(
    granted: Privilege, needed: Privilege, database: str
) -> None:
    user = User("1", "todd", "", False, {"db": granted})
    allowed = {(READ, READ), (WRITE, WRITE), (ALL, READ), (ALL, WRITE), (ALL, ALL)}
    expected = database == "db" and (granted, needed) in allowed
    assert allows(user, RequiredPrivilege(needed, database)) is expected


@pytest.mark.parametrize("need", [ADMIN, RequiredPrivilege(ALL, "anything")])
def test_an_administrator_may_do_everything_and_others_need_the_flag(
    need: RequiredPrivilege,
) -> None:
    assert allows(User("1", "root", "", True, {}), need)
    assert not allows(User("1", "todd", "", False, {"db": ALL}), need)


def test_a_need_says_what_it_asks_for() -> None:
    assert str(ADMIN) == "admin privilege"
    assert str(RequiredPrivilege(READ, "db")) == "READ on db"
    assert str(RequiredPrivilege(WRITE)) == "WRITE on "
