"""Caches users and databases read from a SQLite user store until the store changes."""

import time
from collections.abc import Callable, Hashable
from typing import Self, TypeVar, cast

import apsw

from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.database import Database
from headgate_engine.model.session import Session
from headgate_engine.model.user import User
from headgate_engine.stores.sqlite.reads import read_databases
from headgate_engine.stores.sqlite.revision_file import MARK_CACHE_SECONDS
from headgate_grammar import GenerationalCache

T = TypeVar("T")

_MAX_RECORDS = 4_000
_MAX_DERIVED_VALUES = 1000
_MAX_DATABASES = 1000


class ReadCache:
    """Caches users and databases by name, and values derived from them, for one *connection*.

    Call `refresh` before each use. *read_mark* returns the high-water mark in `<store>.lock`, which
    is the newest acknowledged revision, and a mark of this process's upkeep. While both stay equal,
    `refresh` trusts the cache
    for 50 ms. Otherwise `refresh` calls *check*, which raises StoreUnavailable if the store's file
    is gone, and queries SQLite. The query also finds the last commit of a process that was killed
    before writing the mark.

    In a `with` block the cache is a snapshot: `pinned` is positive, and callers skip `refresh`.
    """

    def __init__(
        self, connection: apsw.Connection, read_mark: Callable[[], bytes], check: Callable[[], None]
    ) -> None:
        self.connection = connection
        self._read_mark, self._check = read_mark, check
        self._last_mark, self._trusted_until = b"", 0.0
        self._derived: GenerationalCache[Hashable, object] = GenerationalCache(_MAX_DERIVED_VALUES)
        # Unknown names are not cached: unauthenticated clients may send any number of them.
        self.users: GenerationalCache[str, User] = GenerationalCache(_MAX_RECORDS)
        self.databases: GenerationalCache[str, Database] = GenerationalCache(_MAX_RECORDS)
        self.api_keys: GenerationalCache[bytes, ApiKey] = GenerationalCache(_MAX_RECORDS)
        self.sessions: GenerationalCache[bytes, Session] = GenerationalCache(_MAX_RECORDS)
        self._databases_in_order: list[Database] | None = None
        # Users read by `prefetch_users` are not in `users`: they could evict frequent users.
        self.prefetched: dict[str, User | None] = {}
        self.pinned = 0
        self._data_version = -1
        self._position: object = None

    def __enter__(self) -> Self:
        self.pinned += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.pinned -= 1
        if not self.pinned:
            self.prefetched = {}

    def refresh(self) -> None:
        """Clears the cache if the store has changed. Raises apsw.Error or StoreUnavailable."""
        mark, now = self._read_mark(), time.monotonic()
        if mark == self._last_mark and now < self._trusted_until:
            return
        self._check()
        version: int = self.connection.execute("PRAGMA data_version").get
        if version != self._data_version:
            # Denied attempts and known logins are written each second, at the same revision.
            position = self.connection.execute("SELECT epoch, rev FROM meta").get
            if position != self._position:
                self._derived.clear()
                self.users.clear()
                self.databases.clear()
                self._databases_in_order = None
                self.api_keys.clear()
            self.sessions.clear()  # upkeep changes them without a new revision
            self._data_version, self._position = version, position
        self._last_mark, self._trusted_until = mark, now + MARK_CACHE_SECONDS

    def all_databases(self) -> list[Database]:
        """Returns all databases in order of creation. A long list is not cached."""
        known = self._databases_in_order
        if known is None:
            known = read_databases(self.connection)
            if len(known) <= _MAX_DATABASES:
                self._databases_in_order = known
        return known.copy()

    def cached(self, key: Hashable) -> object | None:
        """Returns the value cached under *key*, or None."""
        return self._derived.get(key)

    def derive(self, key: Hashable, read: Callable[[apsw.Connection], T]) -> T:
        """Returns the value cached under *key*. If there is none, caches the result of *read*."""
        known = self._derived.get(key)
        if known is None:
            known = read(self.connection)
            self._derived.put(key, known)
        return cast(T, known)

    def cache(self, key: Hashable, value: object) -> None:
        """Caches *value* under *key* until the store changes."""
        self._derived.put(key, value)
