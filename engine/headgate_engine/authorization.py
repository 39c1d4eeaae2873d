"""Checks whether a user may execute a statement."""

from headgate_engine.errors import NotAuthorized
from headgate_engine.model.user import User
from headgate_engine.required_privileges import (
    RequiredPrivilege,
    allows,
    required_privileges,
)
from headgate_engine.stores.base import Store
from headgate_grammar import CreateUser, Statement, redact_urls


def check_allowed(user: User, statement: Statement, database: str, store: Store) -> None:
    """Raises NotAuthorized if *user* lacks a privilege that *statement* requires.

    *database* is the default database of the request, and *store* has the list of databases.
    """
    for need in required_privileges(statement, database):
        if not (allows(user, need) or allows_on_every_database(user, need, store)):
            raise NotAuthorized(user.name, redact_urls(str(statement)), str(need))


def allows_on_every_database(user: User, required: RequiredPrivilege, store: Store) -> bool:
    """Returns whether *user* has the privilege *required* on every database, if that is required.

    The databases are those of *store*.
    """
    return required.every_database and all(
        allows(user, RequiredPrivilege(required.privilege, database.name))
        for database in store.databases()
    )


def creates_admin(statement: Statement) -> bool:
    """Returns whether *statement* creates an administrator."""
    return isinstance(statement, CreateUser) and statement.admin
