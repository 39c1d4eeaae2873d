"""Builds statements about users and grants from parsed InfluxQL.

Each method builds the result of the grammar rule with the same name.
"""

from lark import Token, Transformer

from headgate_grammar.ast.privilege import Privilege
from headgate_grammar.ast.users import (
    CreateUser,
    DropUser,
    Grant,
    GrantAdmin,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowGrants,
    ShowUsers,
)
from headgate_grammar.parsing.inline import inline


@inline
class UserRules(Transformer[Token, object]):
    """Lark's transformer for statements about users and grants."""

    def create_user(self, name: Token, password: Token, admin: bool | None) -> CreateUser:
        """Returns the statement `CREATE USER`."""
        return CreateUser(name.value, password.value, bool(admin))

    def all_privileges(self) -> bool:
        """Returns True, the admin flag of `CREATE USER .. WITH ALL PRIVILEGES`."""
        return True

    def drop_user(self, name: Token) -> DropUser:
        """Returns the statement `DROP USER`."""
        return DropUser(name.value)

    def set_password(self, name: Token, password: Token) -> SetPassword:
        """Returns the statement `SET PASSWORD`."""
        return SetPassword(name.value, password.value)

    def show_users(self) -> ShowUsers:
        """Returns the statement `SHOW USERS`."""
        return ShowUsers()

    def grant(self, privilege: Privilege, database: Token, user: Token) -> Grant:
        """Returns the statement `GRANT .. ON`."""
        return Grant(privilege, database.value, user.value)

    def revoke(self, privilege: Privilege, database: Token, user: Token) -> Revoke:
        """Returns the statement `REVOKE .. ON`."""
        return Revoke(privilege, database.value, user.value)

    def grant_admin(self, user: Token) -> GrantAdmin:
        """Returns the statement `GRANT ALL PRIVILEGES TO user`."""
        return GrantAdmin(user.value)

    def revoke_admin(self, user: Token) -> RevokeAdmin:
        """Returns the statement `REVOKE ALL PRIVILEGES FROM user`."""
        return RevokeAdmin(user.value)

    def show_grants(self, user: Token) -> ShowGrants:
        """Returns the statement `SHOW GRANTS`."""
        return ShowGrants(user.value)

    def privilege_read(self) -> Privilege:
        """Returns the privilege READ."""
        return Privilege.READ

    def privilege_write(self) -> Privilege:
        """Returns the privilege WRITE."""
        return Privilege.WRITE

    def privilege_all(self) -> Privilege:
        """Returns the privilege ALL."""
        return Privilege.ALL
