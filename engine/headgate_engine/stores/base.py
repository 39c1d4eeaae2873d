"""What the engine asks of a store. A store keeps promises and knows no rules.

Errors that may leave a store: Unavailable (not done) and Unknown (may have been done). Names are
compared byte by byte.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import Account, User
from headgate_grammar import Privilege

T = TypeVar("T")

# How long a dropped identity is kept, and how many known logins.
KEPT_DROPPED_SECONDS = 400 * 86_400
KEPT_LOGINS = 100_000
# The outcome in the audit of a change that an upstream makes. Its record has no revision.
FORWARDED = "forwarded upstream"


@dataclass(frozen=True, slots=True)
class Audit:
    """Who makes a change, from where, and by which statement (canonical, no secrets in it)."""

    actor: str
    address: str
    statement: str


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What was recorded: a change, in the same transaction with it, or something refused.

    *id* grows from record to record. *revision* is the change's, 0 of what was refused or was sent
    to an upstream. *time* is
    RFC 3339, UTC. *outcome* is `ok`, or why not. *count* says how often that was refused within
    about a second.
    """

    id: int
    revision: int
    time: str
    actor: str
    address: str
    statement: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """Something refused *count* times since *time*: a login, a query, a statement.

    *actor* is "" where nobody is known by the name that was given.
    """

    time: str
    actor: str
    address: str
    statement: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class KnownLogin:
    """A network from which a user was let in.

    *mark* is `mark(user)` of that login: it changes with the password and holds no secret. *seen*
    is the last time, in Unix seconds.
    """

    user_id: str
    network: str
    mark: str
    seen: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a revision touched: keys `user:NAME` and `database:NAME`."""

    revision: int
    keys: tuple[str, ...]


class Tx(Protocol):
    """Reading and writing inside a transaction. It sees its own writes."""

    def user(self, name: str) -> User | None:
        """The user of that name."""
        ...

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds a user, with a new id and no grants. The name must be free."""
        ...

    def put_user(self, user: User, *, hash: str, admin: bool) -> None:
        """Gives *user* another hash or admin flag."""
        ...

    def drop_user(self, user: User) -> None:
        """Drops *user*, grants and all; their identity stays behind as dropped, see `dropped`."""
        ...

    def admins(self) -> int:
        """How many users have the admin flag."""
        ...

    def empty(self) -> bool:
        """Whether there are no users at all."""
        ...

    def identified(self, issuer: str, subject: str) -> User | None:
        """The user whom that identity was bound to."""
        ...

    def dropped(self, issuer: str, subject: str) -> float | None:
        """As `Store.dropped`."""
        ...

    def bound(self, user: User) -> bool:
        """Whether an identity is bound to *user*."""
        ...

    def bind(self, user: User, issuer: str, subject: str) -> None:
        """Binds an identity, bound to nobody, to *user*, to whom none is; it ends with him."""
        ...

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        """Sets what *user* has on *database*, in place of what he had."""
        ...

    def database(self, name: str) -> Database | None:
        """The database of that name."""
        ...

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds a database, with a new id; nobody has a grant on it. The name must be free."""
        ...

    def drop_database(self, database: Database) -> None:
        """Drops *database*; every grant on it counts for nothing from now on."""
        ...


class Moment(Protocol):
    """How a store is at one moment; it keeps what was made of that as long as nothing changes."""

    def made(self, key: Hashable) -> object | None:
        """What was kept under *key*, if the store is still the same."""
        ...

    def keep_made(self, key: Hashable, made: object) -> None:
        """Keeps *made*, which is small, and hangs on *key* and the store alone."""
        ...


class Store(Protocol):
    """Users, grants and the catalogue of databases, kept for good."""

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        """Runs *change*, all or nothing, together with its audit record.

        Gives its result and the revision that it made, or the last one if it changed nothing: then
        nothing is recorded. When this returns the change is durable,
        ordered, and seen by every reader. What *change* raises comes through, and nothing is done.
        *change* may run more than once: it must have no effects of its own.
        """
        ...

    def moment(self) -> AbstractContextManager[Moment]:
        """While it lasts, `user` and `database` may give this thread what was so at its beginning:
        for what is over at once, and wants to know how things stand only once. Raises Unavailable.
        """
        ...

    def user(self, name: str) -> User | None:
        """The user of that name, as new as the last change acknowledged by anyone."""
        ...

    def gather(self, names: Sequence[str]) -> None:
        """Within a moment: reads the users of these *names* together, which `user` then need not do
        one by one until it is over. Raises Unavailable.
        """
        ...

    def identified(self, issuer: str, subject: str) -> User | None:
        """The user whom that identity was bound to, as new as `user` gives him."""
        ...

    def dropped(self, issuer: str, subject: str) -> float | None:
        """When the last user with that identity was dropped, in Unix seconds; None if never.

        Binding the identity again does not change it. A later drop of any identity forgets those
        that are 400 days old.
        """
        ...

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        """At most *limit* users in order of creation, those behind the id *after*."""
        ...

    def empty(self) -> bool:
        """Whether there are no users at all."""
        ...

    def admins(self) -> int:
        """How many users have the admin flag."""
        ...

    def database(self, name: str) -> Database | None:
        """The database of that name."""
        ...

    def databases(self) -> Sequence[Database]:
        """All databases in order of creation."""
        ...

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """At most *limit* audit records with an id greater than *since*, in order."""
        ...

    def record(self, refused: Sequence[Refused]) -> None:
        """Adds *refused* to the audit. Of the newest 100,000 none is ever dropped but by `forget`,
        nor one whose outcome is FORWARDED.

        Raises Unavailable.
        """
        ...

    def forget(self, before: str) -> None:
        """Drops audit records older than *before*, a time as they have it; the newest stays."""
        ...

    def remember_logins(self, logins: Sequence[KnownLogin]) -> None:
        """Adds *logins*, or moves `seen` of those that are there forward, in one transaction.

        That is no change: it has no revision and no audit record, and readers keep what they have
        cached. Logins of users that do not exist are left out. The newest 100,000 are kept. Write
        at most once a second: each call waits for the disk. Raises Unavailable, Unknown.
        """
        ...

    def known_logins(self, limit: int) -> Sequence[KnownLogin]:
        """At most *limit* logins of users that exist, the newest first. Raises Unavailable."""
        ...

    def changes(self, since: int) -> Sequence[Change] | None:
        """The changes after revision *since*; None if it is too long ago to tell."""
        ...

    def wait(self, since: int, timeout: float) -> int:
        """Waits for a revision newer than *since*, *timeout* seconds at most; gives the newest."""
        ...

    def fence(self) -> int:
        """A revision proven current at the moment of the call."""
        ...

    def close(self) -> None:
        """Gives back what the store holds. It cannot be used any more."""
        ...
