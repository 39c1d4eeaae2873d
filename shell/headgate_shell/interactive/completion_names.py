"""The databases and users that a person may name, as the server tells him."""

import threading
from collections.abc import Callable

from headgate_shell.backends.base import CannotReach
from headgate_shell.session import Session


def _nothing() -> None:
    """Nobody waits for them."""


class Names:
    """Fetched in a thread with the person's own rights, and kept until `refresh`.

    What he may not see, or what cannot be fetched, is not there. *arrived* is called, in that
    thread, when they are there.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.arrived: Callable[[], object] = _nothing
        self._turn = 0
        self._lock = threading.Lock()
        self.databases: tuple[str, ...] = ()
        self.users: tuple[str, ...] = ()
        self.administrators: tuple[str, ...] = ()

    def refresh(self) -> threading.Thread:
        """Begins to fetch them anew, for whoever is logged in now."""
        with self._lock:
            self._turn += 1
            turn = self._turn
        # A session of its own: the person may go elsewhere meanwhile.
        thread = threading.Thread(target=self._fetch, args=(self._session.but(), turn), daemon=True)
        thread.start()
        return thread

    def _fetch(self, session: Session, turn: int) -> None:
        databases = _rows(session, "SHOW DATABASES")
        # Who may not log in is not let in the second time either, and would only be counted.
        users = _rows(session, "SHOW USERS") if databases is not None else None
        with self._lock:
            if turn != self._turn:
                return  # somebody asked again
            self.databases = tuple(str(row[0]) for row in databases or ())
            self.users = tuple(str(row[0]) for row in users or ())
            self.administrators = tuple(str(row[0]) for row in users or () if row[1] is True)
        self.arrived()


def _rows(session: Session, text: str) -> list[list[object]] | None:
    """None if it is refused, or there is no answer."""
    try:
        response = session.query(text)
    except CannotReach:
        return None
    if response.first_error:
        return None
    return [
        row
        for result in response.results
        for series in result.get("series", ())
        for row in series.get("values", ())
    ]
