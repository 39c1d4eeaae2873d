"""Methods for Python programs that create, change and list users, grants and databases."""

from collections.abc import Mapping, Sequence

from headgate_engine.errors import UserNotFound
from headgate_engine.model.principal import UNRESTRICTED, Principal
from headgate_engine.model.result import Series
from headgate_engine.model.user import Account, User
from headgate_engine.stores.base import Store
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
    Statement,
)

_PAGE_SIZE = 10_000


class Administration:
    """Base class of `Engine`: a method for each statement about users, grants and databases.

    The methods run with the privileges of the program itself, and write the same audit records as
    the statements. They block on the disk and on bcrypt. Each raises the error of its statement, a
    StatementError; StoreUnavailable if the store fails; OutcomeUnknown if the change may have been
    made.
    """

    store: Store

    def execute_statement(
        self,
        statement: Statement,
        principal: Principal,
        database: str = "",
        address: str = "",
        *,
        first: bool = False,
    ) -> tuple[Series, ...]:
        """Executes *statement*, which must be authorized already, and returns its tables."""
        raise NotImplementedError

    def user(self, name: str) -> User | None:
        """Returns the user *name* as stored now, or None."""
        raise NotImplementedError

    def create_user(self, name: str, password: str, *, admin: bool = False) -> None:
        """Creates the user *name*. Does nothing if it exists with this password and admin flag.

        Raises UserExists, UsernameRequired, UsernameTooLong, BadPassword, InvalidName.
        """
        self.execute_statement(CreateUser(name, password, admin), UNRESTRICTED)

    def drop_user(self, name: str) -> None:
        """Drops the user *name* with their grants. Raises UserNotFound, LastAdmin."""
        self.execute_statement(DropUser(name), UNRESTRICTED)

    def set_password(self, name: str, password: str) -> None:
        """Sets the password of the user *name*. Raises UserNotFound, BadPassword."""
        self.execute_statement(SetPassword(name, password), UNRESTRICTED)

    def grant(self, privilege: Privilege, database: str, user: str) -> None:
        """Replaces the privilege of *user* on *database* by *privilege*.

        Raises UserNotFound, DatabaseNotFound.
        """
        self.execute_statement(Grant(privilege, database, user), UNRESTRICTED)

    def revoke(self, privilege: Privilege, database: str, user: str) -> None:
        """Removes *privilege* from the privileges of *user* on *database*.

        Raises UserNotFound, DatabaseNotFound.
        """
        self.execute_statement(Revoke(privilege, database, user), UNRESTRICTED)

    def grant_admin(self, user: str) -> None:
        """Makes *user* an administrator. Raises UserNotFound."""
        self.execute_statement(GrantAdmin(user), UNRESTRICTED)

    def revoke_admin(self, user: str) -> None:
        """Takes the admin flag from *user*. Grants stay. Raises UserNotFound, LastAdmin."""
        self.execute_statement(RevokeAdmin(user), UNRESTRICTED)

    def create_database(self, name: str) -> None:
        """Creates the database *name*, unless it exists. Raises InvalidName, NameTooLong."""
        self.execute_statement(CreateDatabase(name), UNRESTRICTED)

    def drop_database(self, name: str) -> None:
        """Drops the database *name* with all grants on it. Does nothing if it does not exist."""
        self.execute_statement(DropDatabase(name), UNRESTRICTED)

    def users(self) -> Sequence[Account]:
        """Returns all users in order of creation."""
        accounts: list[Account] = []
        while page := self.store.users(accounts[-1].id if accounts else "", _PAGE_SIZE):
            accounts += page
        return accounts

    def grants(self, name: str) -> Mapping[str, Privilege]:
        """Returns the privileges of the user *name* by database. Raises UserNotFound.

        A database on which a REVOKE left nothing has NO PRIVILEGES, as in SHOW GRANTS.
        """
        user = self.user(name)
        if user is None:
            raise UserNotFound
        return user.grants

    def databases(self) -> Sequence[str]:
        """Returns the names of all databases in order of creation."""
        return [database.name for database in self.store.databases()]
