"""Explains why a user may or may not execute a statement."""

from dataclasses import dataclass

from headgate_engine.authorization import allows_on_every_database
from headgate_engine.engine import Engine
from headgate_engine.errors import UserNotFound
from headgate_engine.model.user import User
from headgate_engine.required_privileges import RequiredPrivilege, allows, required_privileges
from headgate_grammar import Privilege, Statement


@dataclass(frozen=True, slots=True)
class Explanation:
    """A privilege that a statement requires, and whether the user has it.

    *source* is where the privilege comes from, or what is missing, in words.
    """

    required: RequiredPrivilege
    allowed: bool
    source: str


def explain(
    engine: Engine, name: str, statement: Statement, database: str = ""
) -> list[Explanation]:
    """Returns each privilege that *statement* requires of the user *name*, in InfluxDB's order.

    *database* is the default database of the request. The list is empty if every user may execute
    *statement*. The user may execute it if all are allowed.

    Raises:
        UserNotFound: no user has the name.
        StoreUnavailable: the store could not be read.
    """
    user = engine.user(name)
    if user is None:
        raise UserNotFound
    return [
        Explanation(
            required,
            allows(user, required) or allows_on_every_database(user, required, engine.store),
            _source(engine, user, required),
        )
        for required in required_privileges(statement, database)
    ]


def _source(engine: Engine, user: User, required: RequiredPrivilege) -> str:
    if user.admin:
        return "the user is an administrator"
    if required.admin:
        return "only administrators have it"
    if required.every_database:
        if allows_on_every_database(user, required, engine.store):
            return f"a grant of {required.privilege} on each database"
        return f"the user has no grant of {required.privilege} on some databases"
    if required.names_no_database:
        return "the statement names no database"
    held = user.grants.get(required.database, Privilege.NONE)
    if held:
        return f"the grant {held} on {required.database}"
    if engine.store.database(required.database) is None:
        return f"the database {required.database} does not exist"
    return f"the user has no grant on {required.database}"
