"""What can go wrong with users, grants, databases and their store; `str()` is what a client sees.

The sentences are InfluxDB 1.x's where it has one.
"""


class EngineError(Exception):
    """Everything that the engine raises on purpose."""


class StatementError(EngineError):
    """One statement cannot be executed; nothing of it was done."""


class UserNotFound(StatementError):
    def __init__(self) -> None:
        super().__init__("user not found")


class UserExists(StatementError):
    def __init__(self) -> None:
        super().__init__("user already exists")


class UsernameRequired(StatementError):
    def __init__(self) -> None:
        super().__init__("username required")


class UsernameTooLong(StatementError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"username too long: at most {limit} bytes")


class BadPassword(StatementError):
    """A password that bcrypt would cut or refuse."""


class LastAdmin(StatementError):
    def __init__(self) -> None:
        super().__init__("cannot remove the last admin user")


class DatabaseNotFound(StatementError):
    def __init__(self, name: str) -> None:
        super().__init__(f"database not found: {name}")


class InvalidName(StatementError):
    def __init__(self) -> None:
        super().__init__("invalid name")


class NameTooLong(StatementError):
    def __init__(self) -> None:
        super().__init__("name too long")


class PolicyError(StatementError):
    """The retention policy of CREATE DATABASE .. WITH is refused."""


class NoUpstream(StatementError):
    """The statement is about data, and there is no store of data behind the engine."""

    def __init__(self) -> None:
        super().__init__("no upstream store is configured: only users, grants and databases here")


class SystemSource(StatementError):
    """SELECT reads a measurement that is no user's; *statement* is what shows it, if any."""

    def __init__(self, name: str, statement: str) -> None:
        instead = statement or "the appropriate meta command"
        super().__init__(f"unable to use system source '{name}': use {instead} instead")


class TimeCondition(StatementError):
    """The statement shows what is there at any time."""

    def __init__(self, statement: str) -> None:
        super().__init__(f"{statement} doesn't support time in WHERE clause")


class DatabaseRequired(StatementError):
    """The statement names no database, and nor does the request."""

    def __init__(self) -> None:
        super().__init__("database name required")


class AuthenticationFailed(EngineError):
    """Nobody by that name and password. It does not say which of the two was wrong."""

    def __init__(self) -> None:
        super().__init__("authorization failed")


class SignUpDisabled(AuthenticationFailed):
    """The identity is nobody's here, and users are not made of it."""


class IdentityDropped(AuthenticationFailed):
    """The user of the identity was dropped, and the token may have been issued before that."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = "not provably issued after its user was dropped: see iat and leeway"


class IdentityTaken(EngineError):
    """The name of an identity belongs to a user that the identity may not adopt.

    The text leaves out that this user exists; *reason* is for the log.
    """

    def __init__(self) -> None:
        super().__init__("the token gives no user here")
        self.reason = "its user name belongs to another user"


class AccessDenied(EngineError):
    """A query is refused before any of its statements runs."""


class NotAuthorized(AccessDenied):
    """The user lacks what *statement* requires, *need* in words."""

    def __init__(self, name: str, statement: str, need: str) -> None:
        super().__init__(
            f"{name} not authorized to execute statement '{statement}', requires {need}"
        )
        self.statement = statement
        self.need = need


class AdminRequiredFirst(AccessDenied):
    """There are no users yet, and the query does not begin by making an administrator."""

    def __init__(self) -> None:
        super().__init__("create admin user first or disable authentication")


class StoreError(EngineError):
    """The store cannot be opened. The text says which, why, and what to do."""


class Unavailable(StatementError):
    """The store could not do it, and did not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"store unavailable: {reason}")


class Unknown(StatementError):
    """The store was interrupted: the change may have been made or not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"outcome unknown, the change may have been made: {reason}")
