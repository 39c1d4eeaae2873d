"""All data of a shared store in memory, at one position of its log."""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.database import Database
from headgate_engine.model.profile import Profile
from headgate_engine.model.user import User
from headgate_engine.stores.shared.log import Batch, Head, Loaded, decoded_head
from headgate_engine.stores.shared.records import (
    BadRecord,
    DatabaseRecord,
    DroppedRecord,
    KeyRecord,
    SessionRecord,
    UsedTokenRecord,
    UserRecord,
    decoded,
)
from headgate_engine.stores.shared.tables import Table
from headgate_grammar import Privilege

_MAX_KNOWN_USERS = 8192
# The class of the records whose keys have this prefix.
KINDS: Mapping[str, type] = {
    "u/": UserRecord,
    "d/": DatabaseRecord,
    "k/": KeyRecord,
    "s/": SessionRecord,
    "x/": DroppedRecord,
    "t/": UsedTokenRecord,
}


class Tables:
    """The tables of a shared store, by the prefix of their keys."""

    def __init__(self) -> None:
        self.users: Table[UserRecord] = Table(
            lambda it: int(it.user.id),
            unique={
                "id": lambda it: (it.user.id,),
                "identity": lambda it: [(one.issuer, one.subject) for one in it.identities],
            },
            groups={
                "admin": lambda it: (True,) if it.user.admin and it.user.is_active else (),
                "status": lambda it: () if it.user.is_active else (it.user.status,),
                "email": _verified_emails,
                "issuer": lambda it: {one.issuer for one in it.identities},
            },
        )
        self.databases: Table[DatabaseRecord] = Table(
            lambda it: int(it.database.id), unique={"id": lambda it: (it.database.id,)}
        )
        self.keys: Table[KeyRecord] = Table(
            lambda it: int(it.key.id),
            unique={"hash": lambda it: _hashes(it.key.hash, it.key.previous)},
            groups={
                "owner": lambda it: (it.key.owner_id,),
                "imported": lambda it: _imported_numbers(it.key),
            },
        )
        self.sessions: Table[SessionRecord] = Table(
            lambda it: int(it.session.id),
            unique={"hash": lambda it: _hashes(it.session.hash, it.session.previous)},
            groups={
                "user": lambda it: (it.session.user_id,),
                "sid": lambda it: [(it.session.provider, it.session.sid)] if it.session.sid else [],
            },
        )
        self.dropped: Table[DroppedRecord] = Table()
        self.used: Table[UsedTokenRecord] = Table()
        self.by_prefix: Mapping[str, Table[Any]] = {
            "u/": self.users,
            "d/": self.databases,
            "k/": self.keys,
            "s/": self.sessions,
            "x/": self.dropped,
            "t/": self.used,
        }


class Mirror:
    """The state of a shared store. Several threads may read while one thread applies changes.

    *report* is called with a sentence for each record that cannot be read: it counts as missing.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._known_users: dict[str, tuple[UserRecord, object, User]] = {}
        # The names, sorted, and the number of changes of users that they have.
        self._names: tuple[int, list[str]] = (-1, [])
        self._user_changes = 0
        self.tables = Tables()
        self.head: Head | None = None
        self.position = -1
        # Names of databases by id, replaced when a database is added or dropped.
        self.database_names: Mapping[str, str] = {}
        # What callers derived from this position.
        self.derived: dict[Hashable, object] = {}

    def load(self, loaded: Loaded) -> None:
        """Replaces all data by *loaded*. Raises BadHead."""
        head = None if loaded.head is None else decoded_head(loaded.head)
        tables = Tables()
        by_prefix: dict[str, list[tuple[str, Any]]] = {prefix: [] for prefix in KINDS}
        for key, text in loaded.values.items():
            if (record := self._decoded(key, text)) is not None:
                by_prefix[key[:2]].append((key[2:], record))
        for prefix, records in by_prefix.items():
            table = tables.by_prefix[prefix]
            keys = {id(record): key for key, record in records}
            for record in table.sorted(record for _, record in records):
                table.put(keys[id(record)], record)
        with self._lock:
            self.tables, self.head, self.position = tables, head, loaded.position
            self._forget()
            self._name_databases()

    def apply(self, batch: Batch) -> bool:
        """Applies *batch*. Returns False if its position is not newer. Raises BadHead."""
        with self._lock:
            if batch.position <= self.position:
                return False
            head = decoded_head(batch.head)
            for key, text in batch.writes.items():
                if (table := self.tables.by_prefix.get(key[:2])) is not None:
                    table.put(key[2:], None if text is None else self._decoded(key, text))
            if any(key.startswith("d/") for key in batch.writes):
                self._name_databases()
            if any(key.startswith("u/") for key in batch.writes):
                self._user_changes += 1
            self.derived = {}
            self.head, self.position = head, batch.position
            return True

    def user(self, name: str) -> User | None:
        """Returns the user *name* with the grants on existing databases, or None.

        The same object is returned while neither the user nor the list of databases changes.
        """
        record, databases = self.tables.users.get(name), self.database_names
        if record is None:
            return None
        known = self._known_users.get(name)
        if known is not None and known[0] is record and known[1] is databases:
            return known[2]
        user = with_grants(record, databases.get)
        if len(self._known_users) >= _MAX_KNOWN_USERS:
            self._known_users = {}
        self._known_users[name] = record, databases, user
        return user

    def user_of(self, record: UserRecord | None) -> User | None:
        """Returns the user of *record*, or None."""
        return None if record is None else self.user(record.user.name)

    def sorted_names(self) -> list[str]:
        """Returns the names of all users, sorted."""
        changes = self._user_changes
        known = self._names
        if known[0] != changes:
            # A change during the sort makes this outdated: its number is greater then.
            known = self._names = changes, sorted(self.tables.users.keys())
        return known[1]

    def _decoded(self, key: str, text: bytes) -> Any:
        kind = KINDS.get(key[:2])
        if kind is None:
            return None
        try:
            record: Any = decoded(kind, text)
            self.tables.by_prefix[key[:2]].check(record)
        except (BadRecord, ValueError) as error:
            self._report(f"the record {key[:80]!r} of the store cannot be read: {error}")
            return None
        return record

    def _forget(self) -> None:
        self._known_users, self.derived = {}, {}
        self._user_changes += 1

    def _name_databases(self) -> None:
        found = (record.database for record in self.tables.databases.all())
        self.database_names = {database.id: database.name for database in found}


def with_grants(record: UserRecord, name_of: Callable[[str], str | None]) -> User:
    """Returns the user of *record* with the grants on databases that *name_of* knows by id."""
    ids = sorted(record.grants, key=int)
    grants = {name: record.grants[id] for id in ids if (name := name_of(id)) is not None}
    return replace(record.user, grants=MappingProxyType(grants))


def with_scope(record: KeyRecord, id_of: Callable[[str], str | None]) -> ApiKey:
    """Returns the key of *record* with the grants on databases that have the same id still."""
    key = record.key
    kept = [on for on, id in record.scope.items() if id_of(on) == id]
    grants: dict[str, Privilege] = {on: key.scope.grants[on] for on in sorted_by_id(record, kept)}
    return replace(key, scope=replace(key.scope, grants=MappingProxyType(grants)))


def sorted_by_id(record: KeyRecord, names: Iterable[str]) -> list[str]:
    """Returns *names*, databases in the scope of *record*, in order of their creation."""
    return sorted(names, key=lambda name: int(record.scope[name]))


def profile_of(record: UserRecord) -> Profile:
    """Returns the profile of *record*."""
    return replace(record.profile, has_identity=bool(record.identities))


def database_of(record: DatabaseRecord | None) -> Database | None:
    """Returns the database of *record*, or None."""
    return None if record is None else record.database


def _verified_emails(record: UserRecord) -> Iterable[str]:
    profile = record.profile
    return (profile.email.lower(),) if profile.email and profile.email_verified else ()


def _hashes(*hashes: bytes) -> Iterable[bytes]:
    return [hash for hash in hashes if hash]


def _imported_numbers(key: ApiKey) -> Iterable[int]:
    return (int(key.imported.partition(":")[0]),) if key.imported else ()
