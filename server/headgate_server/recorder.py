"""What was refused, on its way into the audit: counted for a second, then written together.

So whoever floods the server with wrong passwords writes no more than a little each second, and
nobody waits for it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headgate_engine import Refused, SqliteStore, Unavailable, Unknown

_PAUSE_SECONDS = 1.0
_TIDY_SECONDS = 60.0
_MOST_KINDS = 1000
_LONGEST = 1000
_OTHERS = ("", "", "-- many others", "refused")

_Kind = tuple[str, str, str, str]  # actor, address, statement, outcome


@dataclass(slots=True)
class _Seen:
    """Since when, and how often."""

    time: str
    count: int


class Recorder:
    """Writes into the audit of *store* from a thread of its own, until it is closed.

    It also drops what is older than *retention* seconds (0: nothing), and gives the audit file
    what other programs did. What is wrong with that, *complain* hears.
    """

    def __init__(
        self, store: SqliteStore, retention: float, complain: Callable[[str], None]
    ) -> None:
        self._store = store
        self._retention = retention
        self._complain = complain
        self._complained = ""
        self._waiting: dict[_Kind, _Seen] = {}
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def refused(self, actor: str, address: str, statement: str, outcome: str) -> None:
        """Notes that *statement* (no secrets in it) was refused, because of *outcome*."""
        kind = (actor, address, statement, outcome)
        with self._lock:
            known = self._waiting.get(kind)
            if known is not None:  # as in a flood nearly all are
                known.count += 1
                return
            who, what, why = map(_storable, (actor, statement, outcome))
            self._add((who, address, what, why), _Seen(audit_time(), 1))
        self._something.set()

    def close(self) -> None:
        """Writes what is left."""
        self._closed.set()
        self._something.set()
        self._thread.join()

    def _add(self, kind: _Kind, new: _Seen) -> None:
        if kind not in self._waiting and len(self._waiting) >= _MOST_KINDS:
            kind = _OTHERS
        known = self._waiting.get(kind)
        if known is None:
            self._waiting[kind] = new
        else:
            known.time, known.count = min(known.time, new.time), known.count + new.count

    def _run(self) -> None:
        tidy_at = time.monotonic()
        while not self._closed.is_set():
            if self._something.wait(max(0.0, tidy_at - time.monotonic())):
                self._closed.wait(_PAUSE_SECONDS)  # for others like it
                self._something.clear()
                self._try(self._write)
            if time.monotonic() >= tidy_at:
                self._try(self._tidy)
                tidy_at = time.monotonic() + _TIDY_SECONDS
        self._try(self._write)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Unavailable, Unknown) as error:
            if str(error) != self._complained:  # once, not every second
                self._complain(f"the audit cannot be written: {error}")
            self._complained = str(error)
        else:
            self._complained = ""

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._store.record(
                [Refused(seen.time, *kind, seen.count) for kind, seen in waiting.items()]
            )
        except (Unavailable, Unknown):
            with self._lock:
                for kind, seen in waiting.items():  # with the next
                    self._add(kind, seen)
            raise

    def _tidy(self) -> None:
        self._store.export()
        if self._retention:
            self._store.forget(_time(datetime.now(UTC) - timedelta(seconds=self._retention)))


def audit_time() -> str:
    """Returns the time as audit records have it."""
    return _time(datetime.now(UTC))


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _storable(text: str) -> str:
    return text[:_LONGEST].encode("utf-8", "replace").decode()
