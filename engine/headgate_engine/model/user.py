"""Who there is: a user with all that belongs to him, and whom credentials prove."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate_engine.model.token_rights import Rights
from headgate_grammar import Privilege


@dataclass(frozen=True, slots=True)
class User:
    """A user as the store holds him at one moment.

    *id* is never used twice, so what hangs on it ends with the user, not with his name. *grants*
    has the databases that exist now, by name, in order of their creation; NO PRIVILEGES, the trace
    of a REVOKE, included.
    """

    id: str
    name: str
    hash: str = field(repr=False)
    admin: bool
    grants: Mapping[str, Privilege]


@dataclass(frozen=True, slots=True)
class Identity:
    """An account at the issuer of a token: *subject*, as *issuer* names it.

    A new user gets *name*. *issued* is the earliest time at which the token can have been issued,
    in Unix seconds; None if unknown.
    """

    issuer: str
    subject: str
    name: str
    email: str = ""
    full_name: str = ""
    issued: float | None = None

    @property
    def actor(self) -> str:
        """As the audit names him."""
        return f"jwt {self.issuer or '-'} {self.subject}"


@dataclass(frozen=True, slots=True)
class Account:
    """A user as SHOW USERS lists him."""

    id: str
    name: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a query runs.

    *user* is None for two: EVERYBODY, while authentication is off, may do everything; NOBODY,
    while there are no users, may only make the first administrator. *method* says how he proved
    himself; *identity* what a token said of him. *lent* is what he has for this request alone, in
    place of his grants in the store; see Engine.lend. Who is *passing* is in no store: he has what
    somebody else's word gives him, for this request.
    """

    user: User | None = None
    method: str = ""
    trusted: bool = False
    identity: Identity | None = None
    lent: Rights | None = None
    passing: bool = False

    @property
    def unrestricted(self) -> bool:
        """Whether he may do everything: authentication is off, or he is an administrator."""
        return self.trusted or (self.user is not None and self.user.admin)

    @property
    def name(self) -> str:
        """The user's name, or "" where there is none."""
        return self.user.name if self.user is not None else ""


EVERYBODY = Principal(trusted=True)
NOBODY = Principal()
