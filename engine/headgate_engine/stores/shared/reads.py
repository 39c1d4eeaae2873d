"""The reads of a shared store: all from memory, never older than the bound."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

from headgate_engine.model.account_counts import AccountCounts
from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.audit import AuditRecord
from headgate_engine.model.database import Database
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionLimits, SessionTokens
from headgate_engine.model.user import Account, LinkedIdentity, User
from headgate_engine.stores.base import Snapshot, Table
from headgate_engine.stores.condition import StoreCondition, StoreSize
from headgate_engine.stores.memory_accounts import counts_of
from headgate_engine.stores.shared.follower import Follower
from headgate_engine.stores.shared.log import Log
from headgate_engine.stores.shared.mirror import Mirror, database_of, profile_of, with_scope
from headgate_engine.stores.shared.records import KeyRecord, SessionRecord, UserRecord
from headgate_engine.stores.shared.transaction import identity_key


class SharedReads:
    """Implements the reads of `Store` on the mirror of *follower*.

    Each method raises StoreUnavailable if the mirror may be older than the bound.
    """

    _log: Log

    def __init__(self, follower: Follower) -> None:
        self.follower = follower

    @property
    def _mirror(self) -> Mirror:
        """The mirror. Raises StoreUnavailable."""
        self.follower.check()
        return self.follower.mirror

    def condition(self) -> StoreCondition:
        """Returns how current the reads are, and how many members of the log respond."""
        return StoreCondition(self.follower.proof_age, *self._log.members_up())

    def is_acknowledged(self) -> bool:
        """Returns False: another machine may read older data."""
        return False

    def size(self) -> StoreSize | None:
        """Returns how large the log is."""
        return self._log.size()

    def reload(self) -> None:
        """Reads the certificates for the log again. Raises StoreError."""
        self._log.reload()

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        return self._mirror.user(name)

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        mirror = self._mirror
        return mirror.user_of(mirror.tables.users.first("id", id))

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        """Returns at most *limit* users with an id after *after*, in order of creation."""
        users = (record.user for record in self._users_after(after))
        return [Account(it.id, it.name, it.admin) for it in islice(users, limit)]

    def _users_after(self, after: str) -> Iterator[UserRecord]:
        return self._mirror.tables.users.after(int(after or 0))

    def users_with_grants(
        self, after: str = "", limit: int = 1000, *, database: str = ""
    ) -> Sequence[User]:
        """Returns at most *limit* users with an id after *after*, and access to *database*."""
        mirror, found = self._mirror, list[User]()
        for record in mirror.tables.users.after(int(after or 0)):
            if len(found) == limit:
                break
            user = mirror.user_of(record)
            if user and (not database or user.admin or user.grants.get(database)):
                found.append(user)
        return found

    def users_by_name(
        self, contains: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[User]:
        """Returns at most *limit* users with *contains* in the name, sorted by name."""
        mirror, found = self._mirror, list[User]()
        for name in mirror.sorted_names():
            if len(found) == limit:
                break
            if contains in name and name > after and (user := mirror.user(name)) is not None:
                found.append(user)
        return found

    def user_count(self) -> int:
        """Returns the number of users."""
        return len(self._mirror.tables.users)

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return not len(self._mirror.tables.users)

    def is_small(self, table: Table, limit: int) -> bool:
        """Returns whether *table* (`users` or `databases`) has at most *limit* rows."""
        tables = self._mirror.tables
        return len(tables.users if table == "users" else tables.databases) <= limit

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        return self._mirror.tables.users.count("admin", True)

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        return database_of(self._mirror.tables.databases.get(name))

    def databases(self) -> Sequence[Database]:
        """Returns all databases in order of creation."""
        return [record.database for record in self._mirror.tables.databases.all()]

    def profiles(self, ids: Sequence[str]) -> Mapping[str, Profile]:
        """Returns the profiles of the users with these *ids*. Skips unknown ids."""
        users = self._mirror.tables.users
        records = ((id, users.first("id", id)) for id in ids)
        return {id: profile_of(record) for id, record in records if record is not None}

    def api_key_by_hash(self, hash: bytes) -> ApiKey | None:
        """Returns the key with this current or previous hash, or None."""
        record = self._mirror.tables.keys.first("hash", hash)
        return None if record is None else self._key(record)

    def _key(self, record: KeyRecord) -> ApiKey:
        databases = self.follower.mirror.tables.databases

        def id_of(name: str) -> str | None:
            database = database_of(databases.get(name))
            return None if database is None else database.id

        return with_scope(record, id_of)

    def api_keys(
        self, after: str = "", limit: int = 1000, *, owner_id: str = ""
    ) -> Sequence[ApiKey]:
        """Returns at most *limit* keys that are not revoked, in order of creation."""
        found: list[ApiKey] = []
        for record in self._mirror.tables.keys.after(int(after or 0)):
            if len(found) == limit:
                break
            if not record.key.revoked_at and owner_id in ("", record.key.owner_id):
                found.append(self._key(record))
        return found

    def imported_api_keys(self, number: int) -> Sequence[ApiKey]:
        """Returns the imported keys with *number* that were never used, in order of creation."""
        return [self._key(it) for it in self._mirror.tables.keys.find("imported", number)]

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        record = self._mirror.tables.sessions.first("hash", hash)
        return None if record is None else record.session

    def sessions(
        self, after: str = "", limit: int = 1000, *, user_id: str = ""
    ) -> Sequence[Session]:
        """Returns at most *limit* sessions in order of creation, also ended ones."""
        sessions = self._mirror.tables.sessions
        number = int(after or 0)
        records: Iterable[SessionRecord] = sessions.after(number)
        if user_id:
            found = sessions.find("user", user_id)
            records = [it for it in found if int(it.session.id) > number]
        return [it.session for it in islice(records, limit)]

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        record = self._mirror.tables.sessions.get(session_id)
        return None if record is None else record.tokens

    def account_counts(self, limits: SessionLimits, now: int) -> AccountCounts:
        """Returns the numbers of sessions and keys by their state at *now*."""
        tables = self._mirror.tables
        return counts_of(
            [it.session for it in tables.sessions.all()],
            [it.key for it in tables.keys.all()],
            limits,
            now,
        )

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        mirror = self._mirror
        return mirror.user_of(mirror.tables.users.first("identity", (issuer, subject)))

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        record = self._mirror.tables.dropped.get(identity_key(issuer, subject))
        return None if record is None else record.at

    def identities(self, user_id: str) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to the user *user_id*."""
        record = self._mirror.tables.users.first("id", user_id)
        return [] if record is None else list(record.identities)

    def users_of_issuer(self, issuer: str, after: str = "", limit: int = 1000) -> Sequence[User]:
        """Returns at most *limit* users with an identity of *issuer*, in order of creation."""
        mirror, number = self._mirror, int(after or 0)
        found = mirror.tables.users.find("issuer", issuer)
        users = [mirror.user_of(it) for it in found if int(it.user.id) > number][:limit]
        return [user for user in users if user is not None]

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records with an id greater than *since*, in order."""
        entries = self._log.entries(since, limit)
        records = [it for entry in entries for it in entry.records if it.id > since]
        return records[:limit]

    def newest_audit(self, before: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        """Returns at most *limit* audit records, the newest first."""
        entries = self._log.newest_entries(before, limit)
        records = [it for entry in entries for it in reversed(entry.records)]
        return [it for it in records if not before or it.id < before][:limit]

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Returns a context in which derived values are kept for this position."""
        self.follower.check()
        return nullcontext(_Derived(self.follower.mirror.derived))

    def prefetch_users(self, names: Sequence[str]) -> None:
        """Does nothing: all users are in memory."""


class _Derived:
    """Implements `Snapshot` on *values*, which belong to one position."""

    def __init__(self, values: dict[Hashable, object]) -> None:
        self._values = values

    def cached(self, key: Hashable) -> object | None:
        """Returns the value of *key* at this position, or None."""
        return self._values.get(key)

    def cache(self, key: Hashable, value: object) -> None:
        """Keeps *value* for this position."""
        self._values[key] = value
