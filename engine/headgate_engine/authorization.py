"""Checks whether a user may execute a statement."""

from headgate_engine.errors import NotAuthorized
from headgate_engine.model.user import User
from headgate_engine.required_privileges import allows, required_privileges
from headgate_grammar import CreateUser, Statement, redact_urls


def check_allowed(user: User, statement: Statement, database: str) -> None:
    """Raises NotAuthorized if *user* lacks a privilege that *statement* requires.

    *database* is the default database of the request.
    """
    for need in required_privileges(statement, database):
        if not allows(user, need):
            raise NotAuthorized(user.name, redact_urls(str(statement)), str(need))


def creates_admin(statement: Statement) -> bool:
    """Returns whether *statement* creates an administrator."""
    return isinstance(statement, CreateUser) and statement.admin
