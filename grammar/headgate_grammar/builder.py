"""Statements from the grammar's rules: one method per rule, named like it."""

from lark import Token, Transformer, v_args

from headgate_grammar.durations import parse_duration
from headgate_grammar.privilege import Privilege
from headgate_grammar.statements import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    PolicyOptions,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
)

_LARGEST_REPLICATION = (1 << 31) - 1


class BadValue(Exception):
    """A token that is well formed, but whose value InfluxQL refuses."""

    def __init__(self, message: str, token: Token) -> None:
        super().__init__(message)
        self.token = token


@v_args(inline=True)
class Builder(Transformer[Token, tuple[Statement, ...]]):
    """What Lark calls when a rule is complete."""

    def query(self, *statements: Statement | None) -> tuple[Statement, ...]:
        return tuple(statement for statement in statements if statement is not None)

    # ---- users

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

    # ---- grants

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

    # ---- databases

    def create_database(self, name: Token, policy: PolicyOptions | None) -> CreateDatabase:
        return CreateDatabase(name.value, policy)

    def drop_database(self, name: Token) -> DropDatabase:
        return DropDatabase(name.value)

    def show_databases(self) -> ShowDatabases:
        return ShowDatabases()

    def policy_options(self, *options: dict[str, int | str] | None) -> PolicyOptions:
        said: dict[str, int | str] = {}
        for option in options:
            said |= option or {}
        return PolicyOptions(**said)  # type: ignore[arg-type]  # each option names its own field

    def duration(self, span: Token | int) -> dict[str, int]:
        return {"duration": _nanoseconds(span)}

    def replication(self, count: Token) -> dict[str, int]:
        if len(count) > 19:
            raise BadValue(f'strconv.ParseInt: parsing "{count}": value out of range', count)
        if not 1 <= int(count) <= _LARGEST_REPLICATION:
            raise BadValue(
                f"invalid value {count}: must be 1 <= n <= {_LARGEST_REPLICATION}", count
            )
        return {"replication": int(count)}

    def shard_duration(self, span: Token | int) -> dict[str, int]:
        return {"shard_duration": _nanoseconds(span)}

    def policy_name(self, name: Token) -> dict[str, str]:
        return {"name": name.value}

    def infinite(self) -> int:
        return 0


def _nanoseconds(span: Token | int) -> int:
    if not isinstance(span, Token):
        return span
    try:
        return parse_duration(span)
    except ValueError:
        raise BadValue("invalid duration", span) from None
