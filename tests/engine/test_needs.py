"""What statements need, and who has it: decisions as tables."""

import pytest

from headgate_engine import ADMIN, Need, User, allows, changes, needs
from headgate_grammar import Privilege, parse

READ, WRITE, ALL, NONE = Privilege.READ, Privilege.WRITE, Privilege.ALL, Privilege.NONE


@pytest.mark.parametrize(
    ("text", "needed", "changing"),
    [
        ("CREATE USER a WITH PASSWORD 'x'", (ADMIN,), True),
        ("DROP USER a", (ADMIN,), True),
        ("SET PASSWORD FOR a = 'x'", (ADMIN,), True),
        ("GRANT READ ON db TO a", (ADMIN,), True),
        ("REVOKE READ ON db FROM a", (ADMIN,), True),
        ("GRANT ALL TO a", (ADMIN,), True),
        ("REVOKE ALL FROM a", (ADMIN,), True),
        ("SHOW USERS", (ADMIN,), False),
        ("SHOW GRANTS FOR a", (ADMIN,), False),
        ("CREATE DATABASE a", (ADMIN,), True),
        ("DROP DATABASE a", (ADMIN,), True),
        ("SHOW DATABASES", (), False),
    ],
)
def test_a_statement_needs(text: str, needed: tuple[Need, ...], changing: bool) -> None:
    (statement,) = parse(text)
    assert needs(statement, "db") == needed
    assert changes(statement) is changing


@pytest.mark.parametrize("granted", [NONE, READ, WRITE, ALL])
@pytest.mark.parametrize("needed", [READ, WRITE, ALL])
@pytest.mark.parametrize("database", ["db", "other", ""])
def test_a_grant_allows_what_it_contains_on_its_database_only(
    granted: Privilege, needed: Privilege, database: str
) -> None:
    user = User("1", "todd", "", False, {"db": granted})
    allowed = {(READ, READ), (WRITE, WRITE), (ALL, READ), (ALL, WRITE), (ALL, ALL)}
    expected = database == "db" and (granted, needed) in allowed
    assert allows(user, Need(needed, database)) is expected


@pytest.mark.parametrize("need", [ADMIN, Need(ALL, "anything")])
def test_an_administrator_may_do_everything_and_others_need_the_flag(need: Need) -> None:
    assert allows(User("1", "root", "", True, {}), need)
    assert not allows(User("1", "todd", "", False, {"db": ALL}), need)


def test_a_need_says_what_it_asks_for() -> None:
    assert str(ADMIN) == "admin privilege"
    assert str(Need(READ, "db")) == "READ on db"
    assert str(Need(WRITE)) == "WRITE on "
