"""The errors of the engine. `str()` is the text that a client receives.

Where InfluxDB 1.x has an error for the case, the text is the same.
"""


class EngineError(Exception):
    """Base class of all errors that the engine raises itself."""


class StatementError(EngineError):
    """One statement cannot be executed.

    Nothing was changed; only OutcomeUnknown leaves open whether the change was made.
    """


class UserNotFound(StatementError):
    """No user has the name in the statement."""

    def __init__(self) -> None:
        super().__init__("user not found")


class UserExists(StatementError):
    """A user with the name in the statement exists already."""

    def __init__(self) -> None:
        super().__init__("user already exists")


class UsernameRequired(StatementError):
    """CREATE USER with an empty name."""

    def __init__(self) -> None:
        super().__init__("username required")


class UsernameTooLong(StatementError):
    """CREATE USER with a name of more than *limit* bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"username too long: at most {limit} bytes")


class BadPassword(StatementError):
    """A password that is too short, or that bcrypt would truncate or reject."""


class LastAdmin(StatementError):
    """The only administrator would be dropped or demoted."""

    def __init__(self) -> None:
        super().__init__("cannot remove the last admin user")


class DatabaseNotFound(StatementError):
    """No database has the *name*."""

    def __init__(self, name: str) -> None:
        super().__init__(f"database not found: {name}")


class InvalidName(StatementError):
    """The name of a database or retention policy is not allowed, or is no valid text."""

    def __init__(self) -> None:
        super().__init__("invalid name")


class NameTooLong(StatementError):
    """The name of a database or retention policy has more than 255 bytes."""

    def __init__(self) -> None:
        super().__init__("name too long")


class PolicyError(StatementError):
    """The policy of CREATE DATABASE .. WITH is invalid, or differs from the stored policy."""


class NoUpstream(StatementError):
    """The statement is about series data, and no upstream store is configured that could answer."""

    def __init__(self) -> None:
        super().__init__("no upstream store is configured: only users, grants and databases here")


class SystemSource(StatementError):
    """SELECT reads the system measurement *name*.

    *statement* is the statement that shows its content, or "".
    """

    def __init__(self, name: str, statement: str) -> None:
        instead = statement or "the appropriate meta command"
        super().__init__(f"unable to use system source '{name}': use {instead} instead")


class TimeCondition(StatementError):
    """*statement* (its keywords) has a condition on time, which InfluxDB does not support there."""

    def __init__(self, statement: str) -> None:
        super().__init__(f"{statement} doesn't support time in WHERE clause")


class DatabaseRequired(StatementError):
    """Neither the statement nor the request names a database."""

    def __init__(self) -> None:
        super().__init__("database name required")


class AuthenticationFailed(EngineError):
    """The user is unknown or the password is wrong; the text is the same in both cases."""

    def __init__(self) -> None:
        super().__init__("authorization failed")


class SignUpDisabled(AuthenticationFailed):
    """The identity in a token belongs to no user, and no user is created for it."""


class IdentityDropped(AuthenticationFailed):
    """The user of the token's identity was dropped, perhaps after the token was issued.

    *reason* is for logs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason = "not provably issued after its user was dropped: see iat and leeway"


class IdentityTaken(EngineError):
    """The identity in a token may not be linked to the user that has its name.

    The text does not reveal that this user exists; *reason* is for logs.
    """

    def __init__(self) -> None:
        super().__init__("the token gives no user here")
        self.reason = "its user name belongs to another user"


class AccessDenied(EngineError):
    """A query is rejected before any of its statements runs."""


class NotAuthorized(AccessDenied):
    """The user lacks the privilege *required* (in words) that *statement* requires."""

    def __init__(self, name: str, statement: str, required: str) -> None:
        super().__init__(
            f"{name} not authorized to execute statement '{statement}', requires {required}"
        )
        self.statement = statement
        self.required = required


class AdminRequiredFirst(AccessDenied):
    """The request has no user, and its query does not create the first administrator."""

    def __init__(self) -> None:
        super().__init__("create admin user first or disable authentication")


class StoreError(EngineError):
    """The user store cannot be opened. The text names the file, the reason and the remedy."""


class StoreUnavailable(StatementError):
    """The user store could not be read or written; nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"store unavailable: {reason}")


class OutcomeUnknown(StatementError):
    """The user store was interrupted while it committed; the change may have been made."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"outcome unknown, the change may have been made: {reason}")
