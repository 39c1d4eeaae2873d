"""What a statement needs, and whether a user has it. No store, no I/O."""

from dataclasses import dataclass

from headgate_engine.user import User
from headgate_grammar import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    Privilege,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
)


@dataclass(frozen=True, slots=True)
class Need:
    """A privilege on a database, or the admin flag where *admin* is set."""

    privilege: Privilege = Privilege.NONE
    database: str = ""
    admin: bool = False

    def __str__(self) -> str:
        if self.admin:
            return "admin privilege"
        return f"{self.privilege} on {self.database}"


ADMIN = Need(admin=True)


def needs(statement: Statement, database: str) -> tuple[Need, ...]:
    """What *statement* needs of a user who is no admin, in the order in which InfluxDB names it.

    *database* is the request's, for statements that name none.
    """
    match statement:
        case CreateUser() | DropUser() | SetPassword() | ShowUsers() | ShowGrants():
            return (ADMIN,)
        case Grant() | Revoke() | GrantAdmin() | RevokeAdmin():
            return (ADMIN,)
        case CreateDatabase() | DropDatabase():
            return (ADMIN,)
        case ShowDatabases():
            return ()


def allows(user: User, need: Need) -> bool:
    """Whether *user* has what *need* asks for."""
    if user.admin:
        return True
    if need.admin:
        return False
    granted = user.grants.get(need.database, Privilege.NONE)
    return granted & need.privilege == need.privilege


def changes(statement: Statement) -> bool:
    """Whether *statement* changes something, so that InfluxDB warns of it in a GET request."""
    match statement:
        case ShowUsers() | ShowGrants() | ShowDatabases():
            return False
        case _:
            return True
