"""The interface `Store`, by which the engine reads and writes users, grants and databases.

A store makes changes durable; it does not check the rules in changes.py. A store raises only
StoreUnavailable (nothing was done) and OutcomeUnknown (the change may have been made). Names are
compared byte by byte.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from headgate_engine.model.audit import Audit, AuditRecord, DeniedAttempt
from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import Account, User
from headgate_engine.stores.account_base import AccountReads, AccountTx
from headgate_engine.stores.condition import StoreCondition, StoreSize
from headgate_engine.stores.identity_base import IdentityReads, IdentityTx
from headgate_engine.stores.login_delays import LoginDelays
from headgate_grammar import Privilege

T = TypeVar("T")

# A store keeps for this long when the user of an identity was dropped.
DROPPED_IDENTITY_RETENTION_SECONDS = 400 * 86_400
# A store keeps this many known logins, the newest.
MAX_KNOWN_LOGINS = 100_000


@dataclass(frozen=True, slots=True)
class KnownLogin:
    """A network from which a user has logged in.

    *password_version* is the result of `password_version` for the user at that login. *last_seen*
    is the time of the last login from *network*, in Unix seconds.
    """

    user_id: str
    network: str
    password_version: str
    last_seen: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a user store: its number *revision*, and what it changed.

    *keys* name the changed users and databases as `user:NAME` and `database:NAME`.
    """

    revision: int
    keys: tuple[str, ...]


class Tx(AccountTx, IdentityTx, Protocol):
    """The methods that read and change a user store inside one transaction.

    Reads see the transaction's own writes. Any method may raise an error of the storage. The
    function given to `Store.transact` must not catch such an error, because `transact` turns it
    into StoreUnavailable.
    """

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        ...

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds the active user *name* with a new id and no grants. The name must be unused."""
        ...

    def put_user(
        self, user: User, *, hash: str, admin: bool, password_changed_at: int | None = None
    ) -> None:
        """Sets the hash and the admin flag of *user*.

        *password_changed_at* is the time of a new password; None keeps the previous time.
        """
        ...

    def drop_user(self, user: User) -> None:
        """Drops *user* and the user's grants, profile, API keys and sessions.

        If an identity is linked to *user*, the time of the drop is stored: `identity_dropped_at`
        returns that time later.
        """
        ...

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        ...

    def empty(self) -> bool:
        """Returns whether there are no users."""
        ...

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        """Sets the privilege of *user* on *database*, replacing the previous privilege."""
        ...

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        ...

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds the database *name* with a new id and no grants. The name must be unused.

        *policy* is its retention policy, and the default.
        """
        ...

    def put_policies(
        self, database: Database, policies: Sequence[RetentionPolicy], default: str
    ) -> None:
        """Replaces the retention policies of *database*, and the name of the default policy."""
        ...

    def put_exclusive_stores(self, database: Database, stores: Collection[str]) -> None:
        """Sets the upstream stores that had no data of *database* when it was created."""
        ...

    def drop_database(self, database: Database) -> None:
        """Drops *database*; every grant on it becomes ineffective."""
        ...


@dataclass(slots=True)
class PendingTransaction:
    """A change for a group commit, and its outcome.

    *change* and *audit* are the arguments of `Store.transact`. *result* and *revision* are what
    `transact` would return. *error* is what `transact` would raise, or None.
    """

    change: Callable[[Tx], Any]
    audit: Audit
    result: Any = None
    revision: int = 0
    error: BaseException | None = None


class Snapshot(Protocol):
    """A consistent snapshot of a user store, with a cache of values derived from that revision."""

    def cached(self, key: Hashable) -> object | None:
        """Returns the value cached under *key* since the last change of the store, or None."""
        ...

    def cache(self, key: Hashable, value: object) -> None:
        """Caches *value* under *key*. It must be small, and depend on *key* and the store alone."""
        ...


Table = Literal["users", "databases"]


class Store(AccountReads, IdentityReads, Protocol):
    """A user store: durable users, grants and list of databases. Thread-safe; calls block."""

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        """Runs *change* and writes its audit record in one transaction.

        Returns the result of *change*, and the revision that *change* made. If *change* writes
        nothing, no audit record is made, and the newest revision is returned. On return the change
        is durable, and visible to every reader. An exception of *change* is raised again, and
        nothing is written. *change* may run more than once, so it must have no side effects.

        Raises:
            StoreUnavailable: the store could not write; nothing was done.
            OutcomeUnknown: the write was interrupted; the change may have been made.
        """
        ...

    def transact_all(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs *jobs* in order, in as few transactions as possible; raises no error of the store.

        Stores in each job what `transact` would return or raise.
        """
        ...

    def export(self) -> None:
        """Appends to the audit file the records that it lacks, if the store has an audit file.

        Raises:
            StoreUnavailable: the store or the audit file could not be read or written.
        """
        ...

    def condition(self) -> StoreCondition | None:
        """Returns how current the store's reads are, or None for a store on this machine."""
        ...

    def is_acknowledged(self) -> bool:
        """Returns whether all processes read every committed change. Raises StoreUnavailable.

        A store of several machines always returns False.
        """
        ...

    def size(self) -> StoreSize | None:
        """Returns how large the store is, or None if it is in memory. Raises StoreUnavailable."""
        ...

    def reload(self) -> None:
        """Reads the files of certificates again, if the store has some.

        Raises:
            StoreError: a file cannot be read; the former certificates stay in use.
        """
        ...

    def other_writers(self) -> int:
        """Returns how many other processes made changes of a shared store within 0.2 seconds."""
        ...

    def login_delays(self) -> LoginDelays | None:
        """Returns the delays that other servers publish, or None for a store on this machine."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Returns a context in which this thread's `user` and `database` may read from a snapshot.

        Use it for short work, such as one request, that may ignore changes made meanwhile.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def user(self, name: str) -> User | None:
        """Returns the user *name* as of the newest change that any process acknowledged, or None.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def prefetch_users(self, names: Sequence[str]) -> None:
        """Reads the users *names* with one query; later calls of `user` then need no query.

        Call it in a `snapshot` context: the prefetched users are valid until that context ends.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        """Returns at most *limit* users in order of creation, starting after the user id *after*.

        With *after* "" the result starts at the first user.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def users_with_grants(
        self, after: str = "", limit: int = 1000, *, database: str = ""
    ) -> Sequence[User]:
        """Returns at most *limit* users with their grants, in order of creation, by one query.

        The result starts after the user id *after*. With *database*, it has only administrators
        and users with a privilege on that database.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def empty(self) -> bool:
        """Returns whether there are no users.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def is_small(self, table: Table, limit: int) -> bool:
        """Returns whether *table* (`users` or `databases`) has at most *limit* rows.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def databases(self) -> Sequence[Database]:
        """Returns all databases in order of creation.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records with an id greater than *since*, in order.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def newest_audit(self, before: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records, the newest first.

        With *before*, only those with a smaller id. Raises StoreUnavailable.
        """
        ...

    def record_denied(self, attempts: Sequence[DeniedAttempt]) -> None:
        """Appends *attempts* to the audit, in one transaction. Only `prune_audit` deletes them.

        Raises:
            StoreUnavailable: the store could not write; nothing was done.
            OutcomeUnknown: the write was interrupted; the records may have been written.
        """
        ...

    def prune_audit(self, before: str) -> None:
        """Deletes audit records older than *before* (RFC 3339, UTC); the newest record stays.

        A store may also delete the oldest denied attempts beyond 100,000, and the oldest records
        with the outcome FORWARDED beyond 100,000.

        Raises:
            StoreUnavailable: the store could not write; a part of the records may be deleted.
            OutcomeUnknown: the write was interrupted; a part of the records may be deleted.
        """
        ...

    def remember_logins(self, logins: Sequence[KnownLogin]) -> None:
        """Adds new *logins* and advances `last_seen` of those stored already, in one transaction.

        The call makes no revision and no audit record; caches of readers stay valid. Logins of
        unknown users are skipped. The newest 100,000 are kept. Call it at most once a second: each
        call waits for the disk.

        Raises:
            StoreUnavailable: the store could not write; nothing was done.
            OutcomeUnknown: the write was interrupted; the logins may have been written.
        """
        ...

    def known_logins(self, limit: int) -> Sequence[KnownLogin]:
        """Returns at most *limit* logins of existing users, the newest first.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def changes(self, since: int) -> Sequence[Change] | None:
        """Returns the changes with a revision greater than *since*, the oldest first.

        Returns None if the store has already deleted some of these changes.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def wait(self, since: int, timeout: float) -> int:
        """Waits until the newest revision is greater than *since*, at most *timeout* seconds.

        Returns the newest revision.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def confirmed_revision(self) -> int:
        """Returns the newest revision, read from the store and from no cache.

        Raises:
            StoreUnavailable: the store could not be read.
        """
        ...

    def close(self) -> None:
        """Releases the store's resources. The store cannot be used afterwards."""
        ...
