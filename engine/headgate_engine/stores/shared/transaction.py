"""A transaction of a shared store: reads from the mirror, and changes over it."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import LinkedIdentity, User, UserStatus
from headgate_engine.stores.base import DROPPED_IDENTITY_RETENTION_SECONDS
from headgate_engine.stores.shared.account_transaction import AccountChanges
from headgate_engine.stores.shared.mirror import Mirror, database_of
from headgate_engine.stores.shared.records import (
    DatabaseRecord,
    DroppedRecord,
    UserRecord,
    encoded,
)
from headgate_grammar import Privilege


class SharedTx(AccountChanges):
    """Implements `Tx` and `UpkeepTx` over *mirror*. For one thread, and one try of a change."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror)

    def writes(self) -> dict[str, bytes | None]:
        """Returns the values to write, by key; None removes the value."""
        return {
            f"{prefix}{key}": None if record is None else encoded(record)
            for prefix, overlay in self.overlays.items()
            for key, record in overlay.changed.items()
        }

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        return self._user(self.users.get(name))

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds the active user *name* with a new id and no grants."""
        now = int(time.time())
        nothing: Any = MappingProxyType({})
        user = User(
            *(self.new_id(), name, hash, admin, nothing), created_at=now, password_changed_at=now
        )
        self.users.put(name, UserRecord(user))
        self.keys.append(f"user:{name}")

    def put_user(
        self, user: User, *, hash: str, admin: bool, password_changed_at: int | None = None
    ) -> None:
        """Sets the hash, the admin flag and the time of the password of *user*."""

        def changed(known: User) -> User:
            at = known.password_changed_at if password_changed_at is None else password_changed_at
            return replace(known, hash=hash, admin=admin, password_changed_at=at)

        self._change_user(user, changed)

    def put_status(self, user: User, status: UserStatus) -> None:
        """Sets whether *user* may log in."""
        self._change_user(user, lambda known: replace(known, status=status))

    def _change_user(self, user: User, change: Callable[[User], User]) -> None:
        record = self.record_of(user)
        self.put_record(replace(record, user=change(record.user)))

    def drop_user(self, user: User) -> None:
        """Drops *user*, and stores the time of the drop for the identities of *user*."""
        record = self.record_of(user)
        self.users.put(user.name, None)
        self.drop_account(user)
        if record.identities:
            self._record_drops(record.identities)
        self.keys.append(f"user:{user.name}")

    def _record_drops(self, identities: Sequence[LinkedIdentity]) -> None:
        now = time.time()
        oldest = now - DROPPED_IDENTITY_RETENTION_SECONDS
        for old in self.dropped.all():
            if old.at < oldest:
                self.dropped.put(identity_key(old.issuer, old.subject), None)
        for one in identities:
            key = identity_key(one.issuer, one.subject)
            known = self.dropped.get(key)
            at = max(now, known.at if known is not None else now)
            self.dropped.put(key, DroppedRecord(one.issuer, one.subject, at))

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        return self.users.count("admin", True)

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return not len(self.users)

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        """Sets the privilege of *user* on *database*. Removes grants on dropped databases."""
        record = self.record_of(user)
        there = {id: of for id, of in record.grants.items() if self.database_name(id) is not None}
        grants = MappingProxyType({**there, database.id: privilege})
        self.put_record(replace(record, grants=grants))

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        return database_of(self.databases.get(name))

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds the database *name* with a new id and no grants."""
        database = Database(self.new_id(), name, (policy,), policy.name)
        self._put_database(DatabaseRecord(database))

    def put_policies(
        self, database: Database, policies: Sequence[RetentionPolicy], default: str
    ) -> None:
        """Replaces the retention policies of *database*, and the name of the default policy."""
        record = self._database_record(database)
        changed = replace(record.database, policies=tuple(policies), default_policy=default)
        self._put_database(replace(record, database=changed))

    def put_exclusive_stores(self, database: Database, stores: Collection[str]) -> None:
        """Sets the upstream stores that had no data of *database* when it was created."""
        record = self._database_record(database)
        changed = replace(record.database, exclusive_stores=frozenset(stores))
        self._put_database(replace(record, database=changed))

    def drop_database(self, database: Database) -> None:
        """Drops *database*; every grant on it becomes ineffective."""
        self._database_record(database)
        self.databases.put(database.name, None)
        self.keys.append(f"database:{database.name}")

    def _database_record(self, database: Database) -> DatabaseRecord:
        record = self.databases.get(database.name)
        if record is None:
            raise KeyError(database.name)
        return record

    def _put_database(self, record: DatabaseRecord) -> None:
        self.databases.put(record.database.name, record)
        self.keys.append(f"database:{record.database.name}")

    # ---- IdentityTx

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        return self._user(self.users.first("identity", (issuer, subject)))

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        found = self.dropped.get(identity_key(issuer, subject))
        return None if found is None else found.at

    def identities(self, user: User) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to *user*, in order of linking."""
        return list(self.record_of(user).identities)

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity is linked to *user*."""
        return bool(self.identities(user))

    def link(self, user: User, issuer: str, subject: str) -> None:
        """Links the identity *subject* of *issuer* to *user*."""
        record = self.record_of(user)
        identity = LinkedIdentity(self.new_id(), issuer, subject, int(time.time()))
        self.put_record(replace(record, identities=(*record.identities, identity)))

    def unlink(self, user: User, identity: LinkedIdentity) -> None:
        """Removes the link between *identity* and *user*."""
        record = self.record_of(user)
        kept = tuple(one for one in record.identities if one.id != identity.id)
        self.put_record(replace(record, identities=kept))

    def users_by_verified_email(self, email: str) -> Sequence[User]:
        """Returns at most two users with the verified address *email*, in any case of letters."""
        return self._users(self.users.find("email", email.lower()))[:2]

    def pending_users(self) -> Sequence[User]:
        """Returns the users that wait for approval, in order of creation."""
        return self._users(self.users.find("status", UserStatus.PENDING))


def identity_key(issuer: str, subject: str) -> str:
    """Returns the key of the drop of the identity *subject* of *issuer*."""
    return json.dumps([issuer, subject], ensure_ascii=False)
