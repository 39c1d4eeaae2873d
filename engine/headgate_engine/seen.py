"""What one connection has read since the store last changed. Knows apsw."""

from typing import TypeVar

import apsw

from headgate_engine.database import Database
from headgate_engine.user import User

T = TypeVar("T")

_MOST = 10_000


class Seen:
    """Users and databases by name, as *connection* read them.

    They are good as long as SQLite says that nobody else has changed the file: it is asked each
    time, in a hundredth of the time that reading takes.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.users: dict[str, User] = {}
        self.databases: dict[str, Database] = {}
        self._version = -1

    def refresh(self) -> None:
        """Forgets everything if anybody has changed anything. Raises apsw.Error."""
        version: int = self.connection.execute("PRAGMA data_version").get
        if version != self._version:
            self.users.clear()
            self.databases.clear()
            self._version = version

    def keep(self, where: dict[str, T], name: str, found: T | None) -> T | None:
        """Keeps what was *found* under *name*, if anything was, and not more than is good.

        That there is nobody of a name is not kept: strangers may ask for any number of names.
        """
        if found is not None:
            if len(where) >= _MOST:
                where.clear()
            where[name] = found
        return found
