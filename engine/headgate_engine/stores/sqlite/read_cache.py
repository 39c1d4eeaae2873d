"""What one connection has read since the store last changed. Knows apsw."""

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
    """Users and databases by name, as *connection* read them, and what was made of them.

    They are good as long as the *mark* of the last acknowledged change is the same: it is asked for
    each time. Now and then *check* is called, which raises where there is no such file any more,
    and SQLite is asked whether anybody has changed it without leaving a mark: somebody who was
    killed before he could. A write that left the revision as it was changed nothing that is kept
    here. While it is held, by `with`, nobody is asked.
    """

    def __init__(
        self, connection: apsw.Connection, mark: Callable[[], bytes], check: Callable[[], None]
    ) -> None:
        self.connection = connection
        self._mark, self._check = mark, check
        self._marked, self._trusted_until = b"", 0.0
        self._made: Recent[Hashable, object] = Recent(_MOST_MADE)
        # That there is nobody of a name is not kept: strangers may ask for any number of names.
        self.users: Recent[str, User] = Recent(_MOST)
        self.databases: Recent[str, Database] = Recent(_MOST)
        # Those who are asked about together take no place from those who come again and again.
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
        """Forgets everything if anybody has changed anything. Raises apsw.Error, Unavailable."""
        marked, now = self._mark(), time.monotonic()
        if marked == self._marked and now < self._trusted_until:
            return
        self._check()
        version: int = self.connection.execute("PRAGMA data_version").get
        if version != self._version:
            # Audit records of refusals and known logins are written each second: no revision.
            position = self.connection.execute("SELECT epoch, rev FROM meta").get
            if position != self._position:
                self._made.clear()
                self.users.clear()
                self.databases.clear()
            self._version, self._position = version, position
        self._marked, self._trusted_until = marked, now + TRUSTED_SECONDS

    def made(self, key: Hashable) -> object | None:
        return self._made.get(key)

    def keep_made(self, key: Hashable, made: object) -> None:
        self._made.keep(key, made)
