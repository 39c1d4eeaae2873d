"""Statements about users and grants from their rules: one method per rule, named like it."""

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
    def create_user(self, name: Token, password: Token, admin: bool | None) -> CreateUser:
        return CreateUser(name.value, password.value, bool(admin))

    def all_privileges(self) -> bool:
        return True

    def drop_user(self, name: Token) -> DropUser:
        return DropUser(name.value)

    def set_password(self, name: Token, password: Token) -> SetPassword:
        return SetPassword(name.value, password.value)

    def show_users(self) -> ShowUsers:
        return ShowUsers()

    def grant(self, privilege: Privilege, database: Token, user: Token) -> Grant:
        return Grant(privilege, database.value, user.value)

    def revoke(self, privilege: Privilege, database: Token, user: Token) -> Revoke:
        return Revoke(privilege, database.value, user.value)

    def grant_admin(self, user: Token) -> GrantAdmin:
        return GrantAdmin(user.value)

    def revoke_admin(self, user: Token) -> RevokeAdmin:
        return RevokeAdmin(user.value)

    def show_grants(self, user: Token) -> ShowGrants:
        return ShowGrants(user.value)

    def privilege_read(self) -> Privilege:
        return Privilege.READ

    def privilege_write(self) -> Privilege:
        return Privilege.WRITE

    def privilege_all(self) -> Privilege:
        return Privilege.ALL
