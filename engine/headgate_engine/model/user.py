"""Users, and identities of issuers: of tokens, providers, directories and proxies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from headgate_engine.errors import InvalidName, UsernameRequired, UsernameTooLong
from headgate_grammar import Privilege

_MAX_NAME_BYTES = 1024


# The stored hash of a user without a password: no password matches it. `Passwords.verify` still
# runs bcrypt, so that the time of a login does not reveal such users.
NO_PASSWORD = "*no password*"


class UserStatus(IntEnum):
    """Whether a user may log in. A pending user waits for an administrator's approval."""

    ACTIVE = 0
    DISABLED = 1
    PENDING = 2


@dataclass(frozen=True, slots=True)
class User:
    """A snapshot of a stored user.

    *id* is never reused, so that a later user of the same name does not inherit data of this user.
    *grants* maps the names of existing databases to privileges, in order of the databases'
    creation. It includes NO PRIVILEGES, which a REVOKE leaves behind. *hash* is the bcrypt hash of
    the password, or NO_PASSWORD; the repr omits it. *created_at* and *password_changed_at* are Unix
    seconds; 0 stands for an unknown time, before the store had them.
    """

    id: str
    name: str
    hash: str = field(repr=False)
    admin: bool
    grants: Mapping[str, Privilege]
    status: UserStatus = UserStatus.ACTIVE
    created_at: int = 0
    password_changed_at: int = 0

    @property
    def is_active(self) -> bool:
        """Whether the user may log in: neither disabled nor pending."""
        return self.status is UserStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Identity:
    """An account at the JWT issuer *issuer*, which identifies the account by *subject*.

    A user created for the account receives the name *name*. *issued_at* is the earliest possible
    issue time of the token, in Unix seconds, or None if the time is unknown. *email_verified* is
    whether the issuer vouches for *email*. *method* is how the identity was shown.
    """

    issuer: str
    subject: str
    name: str
    email: str = ""
    full_name: str = ""
    issued_at: float | None = None
    email_verified: bool = False
    method: str = "jwt"

    @property
    def actor(self) -> str:
        """The text `jwt ISSUER SUBJECT`, which audit records name as the author of a change."""
        return f"{self.method} {self.issuer or '-'} {self.subject}"


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """An identity that is linked to a user, since the Unix time *linked_at* (0: unknown)."""

    id: str
    issuer: str
    subject: str
    linked_at: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """The id, name and admin flag of a stored user, for SHOW USERS."""

    id: str
    name: str
    admin: bool


def check_username(name: str) -> None:
    """Raises an error if *name* may not be the name of a new user.

    The error is UsernameRequired, UsernameTooLong or InvalidName. InfluxDB 1.8 rejects only the
    empty name. Headgate also rejects more than 1024 bytes, and what is no Unicode.
    """
    if not name:
        raise UsernameRequired
    if not is_encodable(name):
        raise InvalidName
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise UsernameTooLong(_MAX_NAME_BYTES)


def is_encodable(name: str) -> bool:
    """Returns whether *name* is valid Unicode. A login may hold invalid UTF-8: no user's name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
