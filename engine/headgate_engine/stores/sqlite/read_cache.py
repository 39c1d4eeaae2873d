"""A read cache for one connection, valid until the store changes. Uses apsw."""

import time
from collections.abc import Callable, Hashable
from typing import Self

import apsw

from headgate_engine.generational_cache import Recent
from headgate_engine.model.database import Database
from headgate_engine.model.user import User
from headgate_engine.stores.sqlite.revision_file import TRUSTED_SECONDS

_MOST = 4_000
_MOST_MADE = 1000


class Seen:
    """Users and databases by name, as read by *connection*, and values derived from them.

    `refresh` compares the high-water mark of the last acknowledged change, read by *mark*. If it
    differs, or 50 ms after the last check, *check* is called, which raises if the file is gone.
    SQLite is queried then, too: a killed process may have committed without writing the mark. A
    write that leaves the revision unchanged changes nothing that is cached here. Within `with`, the
    caller skips `refresh`.
    """

    def __init__(
        self, connection: apsw.Connection, mark: Callable[[], bytes], check: Callable[[], None]
    ) -> None:
        self.connection = connection
        self._mark, self._check = mark, check
        self._marked, self._trusted_until = b"", 0.0
        self._made: Recent[Hashable, object] = Recent(_MOST_MADE)
        # Unknown names are not cached: unauthenticated clients may send any number of them.
        self.users: Recent[str, User] = Recent(_MOST)
        self.databases: Recent[str, Database] = Recent(_MOST)
        # Users read by `gather` are kept apart, so that they do not evict frequent ones.
        self.gathered: dict[str, User | None] = {}
        self.held = 0
        self._version = -1
        self._position: object = None

    def __enter__(self) -> Self:
        self.held += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.held -= 1
        self.gathered = {}

    def refresh(self) -> None:
        """Clears the cache if the store has changed. Raises apsw.Error or Unavailable."""
        marked, now = self._mark(), time.monotonic()
        if marked == self._marked and now < self._trusted_until:
            return
        self._check()
        version: int = self.connection.execute("PRAGMA data_version").get
        if version != self._version:
            # Denied attempts and known logins are written each second, without a revision.
            position = self.connection.execute("SELECT epoch, rev FROM meta").get
            if position != self._position:
                self._made.clear()
                self.users.clear()
                self.databases.clear()
            self._version, self._position = version, position
        self._marked, self._trusted_until = marked, now + TRUSTED_SECONDS

    def made(self, key: Hashable) -> object | None:
        """Returns the value cached under *key*, or None."""
        return self._made.get(key)

    def keep_made(self, key: Hashable, made: object) -> None:
        """Caches *made* under *key* until the store changes."""
        self._made.keep(key, made)
