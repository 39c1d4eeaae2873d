"""Audit records of rejected attempts: counted for a second, then written together.

A flood of rejections therefore costs a bounded number of bytes, on the disk of the store and on
that of the audit file. No request waits for it.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headgate_engine import Refused, SqliteStore, Unavailable, Unknown
from headgate_server.http.network import network_of

_PAUSE_SECONDS = 1.0
_TIDY_SECONDS = 60.0
_MOST_KINDS = 1000
_OTHERS = ("", "", "-- many others", "refused")
# Characters in the texts of a record. A client chooses statements and names of databases.
_LONGEST = 1000
_LONGEST_STATEMENT = 100
_LONGEST_OUTCOME = 200
_CUT = " [cut]"
# For all workers together, per minute: 90 MB a day. A usual record has 200 to 300 bytes.
BUDGET_BYTES = 64 << 10
_LEAST_BUDGET_BYTES = 4 << 10
_BUDGET_SECONDS = 60.0
# The names of fields, time and numbers in JSON; the store needs less.
_RECORD_BYTES = 170
# Space of a disk that stays free for changes; of a small disk a twentieth.
_RESERVED_BYTES = 32 << 20
_RESERVED_PART = 20

_Kind = tuple[str, str, str, str]  # actor, network, statement, outcome


@dataclass(slots=True)
class _Seen:
    """The time of the first attempt, its address or network, and the number of attempts."""

    time: str
    address: str
    count: int


class Recorder:
    """Writes rejected attempts into the audit of *store*, from its own thread, until it is closed.

    It also drops records that are older than *retention* seconds (0: none), and appends the changes
    of other programs to the audit file. It reports faults to *complain*. Rejections take at most
    *budget* bytes a minute. While a disk that holds one of *paths* is nearly full, they are only
    counted.
    """

    def __init__(
        self,
        store: SqliteStore,
        retention: float,
        complain: Callable[[str], None],
        *,
        budget: int = BUDGET_BYTES,
        paths: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._retention = retention
        self._complain = complain
        self._complained = ""
        self._budget = max(budget, _LEAST_BUDGET_BYTES)
        self._folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
        self._spent = 0
        self._renewed = time.monotonic()  # when the budget began
        self._uncounted: _Seen | None = None  # beyond the budget
        self._waiting: dict[_Kind, _Seen] = {}
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def refused(self, actor: str, address: str, statement: str, outcome: str) -> None:
        """Records that *statement* (no secrets in it) was rejected because of *outcome*.
        Thread-safe.
        """
        network = network_of(address)
        kind = (actor, network, statement, outcome)
        with self._lock:
            known = self._waiting.get(kind)
            if known is None:  # in a flood nearly all are known
                kind = (
                    _storable(actor, _LONGEST),
                    network,
                    _storable(statement, _LONGEST_STATEMENT),
                    _storable(outcome, _LONGEST_OUTCOME),
                )
                known = self._waiting.get(kind)
            if known is not None:
                known.count += 1
                if known.address != address:
                    known.address = network
                return
            self._add(kind, _Seen(audit_time(), address, 1))
        self._something.set()

    def close(self) -> None:
        """Writes the remaining records, and ends the thread. Blocks."""
        self._closed.set()
        self._something.set()
        self._thread.join()

    def _add(self, kind: _Kind, new: _Seen) -> None:
        if kind not in self._waiting and len(self._waiting) >= _MOST_KINDS:
            kind, new.address = _OTHERS, ""
        known = self._waiting.get(kind)
        if known is None:
            self._waiting[kind] = new
        else:
            _join(known, new)

    def _run(self) -> None:
        tidy_at = time.monotonic()
        while not self._closed.is_set():
            if self._something.wait(max(0.0, tidy_at - time.monotonic())):
                self._closed.wait(_PAUSE_SECONDS)  # collects similar attempts
                self._something.clear()
                self._try(self._write)
            if time.monotonic() >= tidy_at:
                self._try(self._write)  # what exceeded the last minute's budget
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
        if not self._has_room():
            for seen in waiting.values():
                self._leave_out(seen)
            if waiting:
                raise Unavailable("the disk is nearly full, refusals are only counted")
            return
        now = time.monotonic()
        if now - self._renewed >= _BUDGET_SECONDS:
            self._renewed, self._spent = now, 0
        if self._uncounted is not None and (not self._spent or self._closed.is_set()):
            with self._lock:
                waiting = {_OTHERS: self._uncounted} | waiting
            self._uncounted = None
        written: dict[_Kind, _Seen] = {}
        spent = self._spent
        for kind, seen in waiting.items():
            size = _size(kind)
            if spent + size <= self._budget:
                written[kind] = seen
                spent += size
            else:
                self._leave_out(seen)
        if self._uncounted is not None and self._closed.is_set():
            self._join_others(written)
        if not written:
            return
        try:
            self._store.record(
                [
                    Refused(seen.time, actor, seen.address, statement, outcome, seen.count)
                    for (actor, _, statement, outcome), seen in written.items()
                ]
            )
        except (Unavailable, Unknown):
            with self._lock:
                for kind, seen in written.items():  # retried with the next ones
                    self._add(kind, seen)
            raise
        self._spent = spent

    def _leave_out(self, seen: _Seen) -> None:
        """Adds *seen* to the attempts that one record represents."""
        if self._uncounted is None:
            self._uncounted = _Seen(seen.time, "", seen.count)
        else:
            _join(self._uncounted, seen)

    def _join_others(self, written: dict[_Kind, _Seen]) -> None:
        assert self._uncounted is not None
        if _OTHERS in written:
            _join(written[_OTHERS], self._uncounted)
        else:
            written[_OTHERS] = self._uncounted
        self._uncounted = None

    def _has_room(self) -> bool:
        """Returns whether rejections leave room on each disk for an administrator's changes."""
        for folder in self._folders:
            try:
                found = os.statvfs(folder)
            except OSError:
                continue  # the store reports such an error
            reserved = min(_RESERVED_BYTES, found.f_blocks * found.f_frsize // _RESERVED_PART)
            if found.f_bavail * found.f_frsize < reserved:
                return False
        return True

    def _tidy(self) -> None:
        self._store.export()
        if self._retention:
            self._store.forget(_time(datetime.now(UTC) - timedelta(seconds=self._retention)))


def audit_time() -> str:
    """Returns the current time as audit records have it."""
    return _time(datetime.now(UTC))


def _join(known: _Seen, new: _Seen) -> None:
    known.time, known.count = min(known.time, new.time), known.count + new.count


def _size(kind: _Kind) -> int:
    """Returns the bytes of a record in JSON."""
    return _RECORD_BYTES + sum(len(json.dumps(text)) for text in kind)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _storable(text: str, longest: int) -> str:
    if len(text) <= longest and text.isascii():
        return text
    cut = text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT
    return cut.encode("utf-8", "replace").decode()
