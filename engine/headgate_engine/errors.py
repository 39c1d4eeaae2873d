"""The errors of the engine. `str()` is the text that a client receives.

If InfluxDB 1.x reports the same error, the text is InfluxDB's.
"""


class EngineError(Exception):
    """Base class of all errors that the engine raises itself."""


class StatementError(EngineError):
    """One statement cannot be executed.

    The statement changed nothing. Only with the subclass OutcomeUnknown, the change may have been
    made.
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
    """CREATE USER gives an empty name."""

    def __init__(self) -> None:
        super().__init__("username required")


class UsernameTooLong(StatementError):
    """CREATE USER gives a name of more than *limit* bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"username too long: at most {limit} bytes")


class BadPassword(StatementError):
    """A new password is too short, or bcrypt would truncate or reject it."""


class LastAdmin(StatementError):
    """The only administrator would be dropped or demoted."""

    def __init__(self) -> None:
        super().__init__("cannot remove the last admin user")


class DatabaseNotFound(StatementError):
    """No database has the name *name*."""

    def __init__(self, name: str) -> None:
        super().__init__(f"database not found: {name}")


class InvalidName(StatementError):
    """A name is invalid Unicode, or InfluxDB forbids it for a database or retention policy."""

    def __init__(self) -> None:
        super().__init__("invalid name")


class NameTooLong(StatementError):
    """The name of a database or retention policy has more than 255 bytes."""

    def __init__(self) -> None:
        super().__init__("name too long")


class PolicyError(StatementError):
    """A retention policy is invalid, missing, or unlike the existing policy."""


class NoUpstream(StatementError):
    """The statement needs an upstream store, such as InfluxDB, but none is configured."""

    def __init__(self) -> None:
        super().__init__("no upstream store is configured: only users, grants and databases here")


class SystemSource(StatementError):
    """SELECT reads the system measurement *name*.

    *statement* is the SHOW statement that shows the content of *name*, or "" if there is none.
    """

    def __init__(self, name: str, statement: str) -> None:
        instead = statement or "the appropriate meta command"
        super().__init__(f"unable to use system source '{name}': use {instead} instead")


class TimeCondition(StatementError):
    """A statement has a condition on time where InfluxDB supports none.

    *statement* holds the keywords of that statement, such as `SHOW MEASUREMENTS`.
    """

    def __init__(self, statement: str) -> None:
        super().__init__(f"{statement} doesn't support time in WHERE clause")


class DatabaseRequired(StatementError):
    """Neither the statement nor the request names a database."""

    def __init__(self) -> None:
        super().__init__("database name required")


class BadProfile(StatementError):
    """An e-mail address or a full name is invalid. The text names it."""


class BadKey(StatementError):
    """An API key cannot be made as the caller asks. The text says why."""


class KeyExists(StatementError):
    """The user has a key of this name already."""

    def __init__(self) -> None:
        super().__init__("a key with this name already exists")


class TooManyKeys(StatementError):
    """The user has as many keys as a user may have."""

    def __init__(self) -> None:
        super().__init__("too many keys")


class KeyNotFound(StatementError):
    """No key has this id, or it was revoked."""

    def __init__(self) -> None:
        super().__init__("key not found")


class SessionNotFound(StatementError):
    """No session of the user has this id, or it has ended."""

    def __init__(self) -> None:
        super().__init__("session not found")


class ExternalUser(StatementError):
    """The user comes in by an identity and has no password, and may be given none."""

    def __init__(self) -> None:
        super().__init__("external users can't be modified")


class IdentityLinked(StatementError):
    """The identity is linked to another user."""

    def __init__(self) -> None:
        super().__init__("this identity belongs to another user")


class NotPending(StatementError):
    """The user does not wait for an administrator's approval."""

    def __init__(self) -> None:
        super().__init__("not pending")


class IssuerLinked(StatementError):
    """The user has another identity of the same issuer."""

    def __init__(self) -> None:
        super().__init__("the user has another identity of this issuer")


class IdentityNotFound(StatementError):
    """The user has no identity of this id."""

    def __init__(self) -> None:
        super().__init__("identity not found")


class OnlyWayToSignIn(StatementError):
    """The user has no password, and would have no identity."""

    def __init__(self) -> None:
        super().__init__("this is the only way to sign in")


class TooManyPending(StatementError):
    """As many users wait for approval as may wait."""

    def __init__(self) -> None:
        super().__init__("too many sign-ups wait for approval, try again later")


class AuthenticationFailed(EngineError):
    """The user is unknown or the password is wrong; the text is the same in both cases."""

    def __init__(self) -> None:
        super().__init__("authorization failed")


class KeyRejected(AuthenticationFailed):
    """An API key is not accepted. *code* is `malformed`, `unknown`, `expired` or `revoked`."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code
        self.args = (_KEY_REFUSALS.get(code, "invalid API key"),)


class SessionRejected(AuthenticationFailed):
    """A session's cookie is not accepted. *code* is `invalid`, `expired` or `revoked`."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code
        self.args = (_SESSION_REFUSALS[code],)


_KEY_REFUSALS = {"expired": "API key expired", "revoked": "API key revoked"}
_SESSION_REFUSALS = {
    "invalid": "invalid session",
    "expired": "session expired",
    "revoked": "session revoked",
}


class SignUpDisabled(AuthenticationFailed):
    """The account in a token belongs to no user, and no user may be created for it."""


class IdentityDropped(AuthenticationFailed):
    """The user of the token's identity was dropped, perhaps after the token was issued.

    The client receives the same text as for a wrong password; `reason` is for the server's log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason = "not provably issued after its user was dropped: see iat and leeway"


class IdentityTaken(EngineError):
    """The identity in a token may not be linked to the user that has its name.

    The client's text does not reveal that this user exists; `reason` is for the server's log.
    """

    def __init__(self) -> None:
        super().__init__("the token gives no user here")
        self.reason = "its user name belongs to another user"


class AccessDenied(EngineError):
    """A query is rejected before any of its statements runs."""


class NotAuthorized(AccessDenied):
    """The user *name* lacks a privilege that *statement* requires.

    *statement* is InfluxQL text. *required* names the privilege, for example `READ on db`.
    """

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


class ChangeTooLarge(StatementError):
    """One change has more records or bytes than a shared store writes at once."""

    def __init__(self, records: int, size: int) -> None:
        super().__init__(f"too much for one change: {records} records, {size} bytes")


class OutcomeUnknown(StatementError):
    """The user store was interrupted while it committed; the change may have been made."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"outcome unknown, the change may have been made: {reason}")
