"""Fetches the names of databases and users for completion."""

import threading
from collections.abc import Callable

from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.session import Session


def _no_callback() -> None:
    """Does nothing: the default of `CompletionNames.on_fetched`."""


class CompletionNames:
    """Names of databases and users that the login may see. `refresh` fetches the names in a thread.

    The tuples of names are empty if the server denies SHOW DATABASES or SHOW USERS, or cannot be
    reached. *on_fetched* is called in the fetching thread after each fetch.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.on_fetched: Callable[[], object] = _no_callback
        self._generation = 0
        self._lock = threading.Lock()
        self.databases: tuple[str, ...] = ()
        self.users: tuple[str, ...] = ()
        self.administrators: tuple[str, ...] = ()

    def refresh(self) -> threading.Thread:
        """Starts to fetch the names with the session's current login; returns the thread."""
        with self._lock:
            self._generation += 1
            generation = self._generation
        # A copy of the session: its connection may change during the fetch.
        thread = threading.Thread(
            target=self._fetch, args=(self._session.copy_with(), generation), daemon=True
        )
        thread.start()
        return thread

    def _fetch(self, session: Session, generation: int) -> None:
        databases = _query_rows(session, "SHOW DATABASES")
        # After a refused login a second statement would only count as another failed login.
        users = _query_rows(session, "SHOW USERS") if databases is not None else None
        with self._lock:
            if generation != self._generation:
                return  # superseded by a later refresh
            self.databases = tuple(str(row[0]) for row in databases or ())
            self.users = tuple(str(row[0]) for row in users or ())
            self.administrators = tuple(str(row[0]) for row in users or () if row[1] is True)
        self.on_fetched()


def _query_rows(session: Session, text: str) -> list[list[object]] | None:
    """Returns the rows of all series that the statement *text* returns.

    Returns None if the server sends an error or no response.
    """
    try:
        response = session.query(text)
    except ConnectionFailed:
        return None
    if response.first_error:
        return None
    return [
        row
        for result in response.results
        for series in result.get("series", ())
        for row in series.get("values", ())
    ]
