"""A user store in memory, for tests and for programs without persistent users."""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

from headgate_engine.model.account_counts import AccountCounts
from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.audit import Audit, AuditRecord, DeniedAttempt
from headgate_engine.model.database import Database
from headgate_engine.model.profile import Profile
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.session import Session, SessionLimits, SessionTokens
from headgate_engine.model.user import Account, LinkedIdentity, User
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.base import (
    Change,
    KnownLogin,
    PendingTransaction,
    Snapshot,
    Table,
    Tx,
)
from headgate_engine.stores.group_commit import commit_each
from headgate_engine.stores.local_store import LocalStore
from headgate_engine.stores.memory_accounts import page
from headgate_engine.stores.memory_identities import IdentityState
from headgate_engine.stores.memory_logins import MemoryLogins
from headgate_grammar import Privilege

T = TypeVar("T")


@dataclass
class _State(IdentityState):
    """The data of one revision; implements the protocol `Tx` on this data.

    A transaction changes a copy; `MemoryStore` commits it by replacing its state.
    """

    users: dict[str, User] = field(default_factory=dict)
    databases: dict[str, Database] = field(default_factory=dict)
    grants: dict[tuple[str, str], Privilege] = field(default_factory=dict)
    last_id: int = 0

    def copy(self) -> "_State":
        """Returns a copy of the data for a transaction to change."""
        tables = {
            table.name: value.copy()
            for table in fields(self)
            if isinstance(value := getattr(self, table.name), dict)
        }
        return _State(**tables, last_id=self.last_id, keys=[])

    def new_id(self) -> str:
        """Returns an id that was never used."""
        self.last_id += 1
        return str(self.last_id)

    # ---- Tx

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        return next((self.user(user.name) for user in self.users.values() if user.id == id), None)

    def all_users(self) -> Sequence[User]:
        """Returns all users with their grants, in order of creation."""
        return [user for name in self.users if (user := self.user(name)) is not None]

    def replace_user(self, user: User) -> None:
        """Replaces the stored user with the name of *user*, except for the grants."""
        self.users[user.name] = user

    def database_ids(self) -> dict[str, str]:
        """Returns the ids of the databases by name."""
        return {database.name: database.id for database in self.databases.values()}

    def user(self, name: str) -> User | None:
        """Returns the user *name* with the user's grants on existing databases, or None."""
        user = self.users.get(name)
        if user is None:
            return None
        grants = {
            database.name: self.grants[user.id, database.id]
            for database in self.databases.values()
            if (user.id, database.id) in self.grants
        }
        return replace(user, grants=MappingProxyType(grants))

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds a user with a new id and no grants."""
        now = int(time.time())
        self.users[name] = User(
            *(self.new_id(), name, hash, admin, MappingProxyType({})),
            created_at=now,
            password_changed_at=now,
        )
        self.keys.append(f"user:{name}")

    def put_user(
        self, user: User, *, hash: str, admin: bool, password_changed_at: int | None = None
    ) -> None:
        """Sets the hash, the admin flag and the time of the password of *user*."""
        known = self.users[user.name]
        changed = known.password_changed_at if password_changed_at is None else password_changed_at
        self.users[user.name] = replace(known, hash=hash, admin=admin, password_changed_at=changed)
        self.keys.append(f"user:{user.name}")

    def drop_user(self, user: User) -> None:
        """Drops *user*, and stores the time of the drop for the identities of *user*."""
        del self.users[user.name]
        self.drop_account(user)
        self.drop_identities(user)
        self.keys.append(f"user:{user.name}")

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        return sum(user.admin and user.is_active for user in self.users.values())

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return not self.users

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        """Sets the privilege of *user* on *database*."""
        self.grants[user.id, database.id] = privilege
        self.keys.append(f"user:{user.name}")

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        return self.databases.get(name)

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds a database with a new id."""
        self.databases[name] = Database(self.new_id(), name, (policy,), policy.name)
        self.keys.append(f"database:{name}")

    def put_policies(
        self, database: Database, policies: Sequence[RetentionPolicy], default: str
    ) -> None:
        """Replaces the retention policies of *database*, and the name of the default policy."""
        changed = replace(database, policies=tuple(policies), default_policy=default)
        self.databases[database.name] = changed
        self.keys.append(f"database:{database.name}")

    def put_exclusive_stores(self, database: Database, stores: Collection[str]) -> None:
        """Sets the upstream stores that had no data of *database* when it was created."""
        self.databases[database.name] = replace(database, exclusive_stores=frozenset(stores))
        self.keys.append(f"database:{database.name}")

    def drop_database(self, database: Database) -> None:
        """Drops *database*. Its grants stay, but refer to no database."""
        del self.databases[database.name]
        self.keys.append(f"database:{database.name}")


class _UncachedSnapshot:
    """Implements `Snapshot` without a cache, because reads from memory are fast."""

    def cached(self, key: Hashable) -> object | None:
        """Returns None: nothing is cached."""
        return None

    def cache(self, key: Hashable, value: object) -> None:
        """Caches nothing."""
        pass


class MemoryStore(LocalStore):
    """Implements `Store` in memory; its content ends with the process. Thread-safe.

    It never raises StoreUnavailable or OutcomeUnknown. `Store` describes the methods.
    """

    def __init__(self) -> None:
        self._state = _State()
        self._audit: list[AuditRecord] = []
        self._changes: list[Change] = []
        self._logins = MemoryLogins(lambda: {user.id for user in self._state.users.values()})
        self._condition = threading.Condition()

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        """Runs *change* on a copy of the state. Raises only the errors of *change*."""
        with self._condition:
            state = self._state.copy()
            result = change(state)
            if not state.keys:
                return result, self._revision
            revision = self._revision + 1
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            self._append(revision, now, audit.actor, audit.address, audit.statement, "ok", 1)
            self._changes.append(Change(revision, tuple(state.keys)))
            self._state = state
            self._condition.notify_all()
            return result, revision

    def transact_all(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs each of *jobs*, and stores in it what `transact` would return or raise."""
        commit_each(self.transact, jobs)

    def export(self) -> None:
        """Does nothing: a store in memory has no audit file."""

    def is_acknowledged(self) -> bool:
        """Returns True: no other process reads the store."""
        return True

    def size(self) -> None:
        """Returns None: the data is in memory."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Returns a context in which reads return current data and nothing is cached."""
        return nullcontext(_UncachedSnapshot())

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        return self._state.user(name)

    def prefetch_users(self, names: Sequence[str]) -> None:
        """Does nothing: all users are in memory."""

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        return self._state.user_by_id(id)

    def profiles(self, ids: Sequence[str]) -> Mapping[str, Profile]:
        """Returns the profiles of the users with these *ids*. Skips unknown ids."""
        users = [user for user in map(self._state.user_by_id, ids) if user is not None]
        return {user.id: self._state.profile(user) for user in users}

    def api_key_by_hash(self, hash: bytes) -> ApiKey | None:
        """Returns the key with this current or previous hash, or None."""
        return self._state.key_by_hash(hash)

    def api_keys(
        self, after: str = "", limit: int = 1000, *, owner_id: str = ""
    ) -> Sequence[ApiKey]:
        """Returns at most *limit* keys that are not revoked, in order of creation."""
        keys = self._state.all_api_keys()
        return page([it for it in keys if owner_id in ("", it.owner_id)], after, limit)

    def imported_api_keys(self, number: int) -> Sequence[ApiKey]:
        """Returns the imported keys with *number* that were never used."""
        return self._state.imported_api_keys(number)

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        return self._state.session_by_hash(hash)

    def sessions(
        self, after: str = "", limit: int = 1000, *, user_id: str = ""
    ) -> Sequence[Session]:
        """Returns at most *limit* sessions in order of creation, also ended ones."""
        found = self._state.sessions_by_id.values()
        return page([it for it in found if user_id in ("", it.user_id)], after, limit)

    def account_counts(self, limits: SessionLimits, now: int) -> AccountCounts:
        """Returns the numbers of sessions and keys by their state at *now*."""
        return self._state.counts(limits, now)

    def upkeep(self, change: Callable[[UpkeepTx], T]) -> T:
        """Runs *change* on a copy of the state. Raises only the errors of *change*."""
        with self._condition:
            state = self._state.copy()
            result = change(state)
            self._state = state
            return result

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        return self._state.user_by_identity(issuer, subject)

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        return self._state.identity_dropped_at(issuer, subject)

    def identities(self, user_id: str) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to the user *user_id*."""
        return self._state.identities_of(user_id)

    def users_of_issuer(self, issuer: str, after: str = "", limit: int = 1000) -> Sequence[User]:
        """Returns at most *limit* users with an identity of *issuer*, in order of creation."""
        return self._state.users_of_issuer(issuer, after, limit)

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        return self._state.session_tokens(session_id)

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        """Returns at most *limit* users with an id after *after*, in order of creation."""
        found = self.users_with_grants(after, limit)
        return [Account(user.id, user.name, user.admin) for user in found]

    def users_with_grants(
        self, after: str = "", limit: int = 1000, *, database: str = ""
    ) -> Sequence[User]:
        """Returns at most *limit* users with an id after *after*, and access to *database*."""
        state = self._state
        users = (state.user(name) for name in state.users)
        found = [
            user
            for user in users
            if user is not None
            and int(user.id) > int(after or 0)
            and (not database or user.admin or user.grants.get(database))
        ]
        return found[:limit]

    def users_by_name(
        self, contains: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[User]:
        """Returns at most *limit* users with *contains* in the name, sorted by name."""
        names = sorted(it for it in self._state.users if contains in it and it > after)
        return [user for name in names[:limit] if (user := self._state.user(name)) is not None]

    def user_count(self) -> int:
        """Returns the number of users."""
        return len(self._state.users)

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return self._state.empty()

    def is_small(self, table: Table, limit: int) -> bool:
        """Returns whether *table* (`users` or `databases`) has at most *limit* rows."""
        return len(self._state.users if table == "users" else self._state.databases) <= limit

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        return self._state.admin_count()

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        return self._state.database(name)

    def databases(self) -> Sequence[Database]:
        """Returns all databases in order of creation."""
        return list(self._state.databases.values())

    @property
    def _revision(self) -> int:
        return len(self._changes)

    def _append(self, *fields: Any) -> None:
        newest = self._audit[-1].id if self._audit else 0
        self._audit.append(AuditRecord(newest + 1, *fields))

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records with an id greater than *since*, in order."""
        return [record for record in self._audit if record.id > since][:limit]

    def newest_audit(self, before: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records, the newest first."""
        return [it for it in reversed(self._audit) if not before or it.id < before][:limit]

    def record_denied(self, attempts: Sequence[DeniedAttempt]) -> None:
        """Appends *attempts* to the audit."""
        with self._condition:
            for it in attempts:
                self._append(0, it.time, it.actor, it.address, it.statement, it.outcome, it.count)

    def prune_audit(self, before: str) -> None:
        """Deletes audit records older than *before* (RFC 3339, UTC); the newest record stays."""
        with self._condition:
            self._audit[:-1] = [record for record in self._audit[:-1] if record.time >= before]

    def remember_logins(self, logins: Sequence[KnownLogin]) -> None:
        """Adds new *logins*, advances `last_seen` of stored ones, and keeps the newest 100,000."""
        with self._condition:
            self._logins.remember(logins)

    def known_logins(self, limit: int) -> Sequence[KnownLogin]:
        """Returns at most *limit* logins of existing users, the newest first."""
        with self._condition:
            return self._logins.newest(limit)

    def changes(self, since: int) -> Sequence[Change] | None:
        """Returns the changes after revision *since*. Never None, because all changes are kept."""
        return self._changes[since:]

    def wait(self, since: int, timeout: float) -> int:
        """Waits until the newest revision is greater than *since*, at most *timeout* seconds.

        Returns the newest revision.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._revision > since, timeout)
            return self._revision

    def confirmed_revision(self) -> int:
        """Returns the newest revision."""
        return self._revision

    def close(self) -> None:
        """Does nothing: there are no resources to release."""
