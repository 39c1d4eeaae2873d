"""Writes audit records of rejected requests: equal rejections of one second become one record.

A flood of rejections therefore costs a bounded number of bytes, in the SQLite database and in the
audit file. No request waits until its record is written.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headgate_engine import DeniedAttempt, OutcomeUnknown, Store, StoreUnavailable
from headgate_server.http.client_network import network_of

_COLLECT_SECONDS, _LONGEST_COLLECT_SECONDS = 1.0, 10.0
_MAINTENANCE_SECONDS = 60.0
# From this share of the store's limit on, records are kept half as long.
_NEARLY_FULL = 0.8
_MAX_KEYS = 1000
_OVERFLOW_KEY = ("", "", "-- many others", "refused")
# Characters in the texts of a record. A client chooses statements and names of databases.
_MAX_ACTOR_CHARACTERS = 1000
_MAX_STATEMENT_CHARACTERS = 100
_MAX_OUTCOME_CHARACTERS = 200
_TRUNCATION_MARK = " [cut]"
# For all workers together, per minute: 90 MB a day. A usual record has 200 to 300 bytes.
BUDGET_BYTES = 64 << 10
_MIN_BUDGET_BYTES = 4 << 10
_BUDGET_SECONDS = 60.0
# The names of fields, time and numbers of a record in JSON. A record in SQLite is smaller.
_RECORD_BYTES = 170
# Bytes of a disk that stay free for changes of users and databases. On a small disk, a twentieth of
# the disk stays free.
_RESERVED_BYTES = 32 << 20
_RESERVED_DIVISOR = 20

_AttemptKey = tuple[str, str, str, str]  # actor, network, statement, outcome


@dataclass(slots=True)
class _DeniedAttempts:
    """The *count* of equal rejected attempts, the *time* of the first one, and their *address*.

    If the attempts came from several addresses of a network, *address* is that network.
    """

    time: str
    address: str
    count: int


class AuditWriter:
    """Writes rejected attempts into the audit of *store*, the user store, in a thread of its own.

    The thread runs until `close`, and has two more tasks. It drops audit records older than
    *retention* seconds (0: keeps all records), half of that while the store is nearly full. It
    appends the changes of other programs to the audit file. Faults are reported to *log_error*.

    Records of rejected attempts take at most *budget* bytes a minute; further attempts become one
    record with their number. While a disk that holds one of *paths* is nearly full, attempts are
    counted, and no record is written.
    """

    def __init__(
        self,
        store: Store,
        retention: float,
        log_error: Callable[[str], None],
        *,
        budget: int = BUDGET_BYTES,
        paths: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._retention = retention
        self._log_error = log_error
        self._last_error = ""
        self._was_nearly_full = False
        self._budget = max(budget, _MIN_BUDGET_BYTES)
        self._folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
        self._spent_bytes = 0
        self._budget_started_at = time.monotonic()  # start of the minute that the budget is for
        self._overflow: _DeniedAttempts | None = None  # all attempts beyond the budget
        self._pending: dict[_AttemptKey, _DeniedAttempts] = {}
        self._lock = threading.Lock()
        self._has_pending = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record_denied(self, actor: str, address: str, statement: str, outcome: str) -> None:
        """Records that *statement* was rejected with *outcome*. Thread-safe.

        *actor* is the user's name. *statement* must not contain a secret.
        """
        network = network_of(address)
        kind = (actor, network, statement, outcome)
        with self._lock:
            known = self._pending.get(kind)
            if known is None:  # seldom in a flood, so that truncation costs little
                kind = (
                    _truncate(actor, _MAX_ACTOR_CHARACTERS),
                    network,
                    _truncate(statement, _MAX_STATEMENT_CHARACTERS),
                    _truncate(outcome, _MAX_OUTCOME_CHARACTERS),
                )
                known = self._pending.get(kind)
            if known is not None:
                known.count += 1
                if known.address != address:
                    known.address = network
                return
            self._add(kind, _DeniedAttempts(audit_time(), address, 1))
        self._has_pending.set()

    def close(self) -> None:
        """Writes the remaining records, and ends the thread. Blocks."""
        self._closed.set()
        self._has_pending.set()
        self._thread.join()

    def _add(self, kind: _AttemptKey, new: _DeniedAttempts) -> None:
        if kind not in self._pending and len(self._pending) >= _MAX_KEYS:
            kind, new.address = _OVERFLOW_KEY, ""
        known = self._pending.get(kind)
        if known is None:
            self._pending[kind] = new
        else:
            _merge(known, new)

    def _run(self) -> None:
        tidy_at = time.monotonic()
        while not self._closed.is_set():
            if self._has_pending.wait(max(0.0, tidy_at - time.monotonic())):
                self._closed.wait(self._collect_seconds())  # collects similar attempts
                self._has_pending.clear()
                self._try(self._write)
            if time.monotonic() >= tidy_at:
                self._try(self._write)  # attempts that exceeded the last minute's budget
                self._try(self._maintain)
                tidy_at = time.monotonic() + _MAINTENANCE_SECONDS
        self._try(self._write)

    def _collect_seconds(self) -> float:
        """Returns the time between two writes: longer with many writers, which take turns."""
        return min(_LONGEST_COLLECT_SECONDS, _COLLECT_SECONDS * max(1, self._store.other_writers()))

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (StoreUnavailable, OutcomeUnknown) as error:
            if str(error) != self._last_error:  # logged once, not every second
                self._log_error(f"the audit cannot be written: {error}")
            self._last_error = str(error)
        else:
            self._last_error = ""

    def _write(self) -> None:
        with self._lock:
            waiting, self._pending = self._pending, {}
        if not self._has_disk_space():
            for seen in waiting.values():
                self._add_to_overflow(seen)
            if waiting:
                raise StoreUnavailable("the disk is nearly full, refusals are only counted")
            return
        now = time.monotonic()
        if now - self._budget_started_at >= _BUDGET_SECONDS:
            self._budget_started_at, self._spent_bytes = now, 0
        if self._overflow is not None and (not self._spent_bytes or self._closed.is_set()):
            with self._lock:
                waiting = {_OVERFLOW_KEY: self._overflow} | waiting
            self._overflow = None
        written: dict[_AttemptKey, _DeniedAttempts] = {}
        spent = self._spent_bytes
        for kind, seen in waiting.items():
            size = _record_bytes(kind)
            if spent + size <= self._budget:
                written[kind] = seen
                spent += size
            else:
                self._add_to_overflow(seen)
        if self._overflow is not None and self._closed.is_set():
            self._merge_overflow(written)
        if not written:
            return
        try:
            self._store.record_denied(
                [
                    DeniedAttempt(seen.time, actor, seen.address, statement, outcome, seen.count)
                    for (actor, _, statement, outcome), seen in written.items()
                ]
            )
        except (StoreUnavailable, OutcomeUnknown):
            with self._lock:
                for kind, seen in written.items():  # to be written with the next records
                    self._add(kind, seen)
            raise
        self._spent_bytes = spent

    def _add_to_overflow(self, seen: _DeniedAttempts) -> None:
        """Adds *seen* to the overflow: the attempts beyond the budget, which become one record."""
        if self._overflow is None:
            self._overflow = _DeniedAttempts(seen.time, "", seen.count)
        else:
            _merge(self._overflow, seen)

    def _merge_overflow(self, written: dict[_AttemptKey, _DeniedAttempts]) -> None:
        assert self._overflow is not None
        if _OVERFLOW_KEY in written:
            _merge(written[_OVERFLOW_KEY], self._overflow)
        else:
            written[_OVERFLOW_KEY] = self._overflow
        self._overflow = None

    def _has_disk_space(self) -> bool:
        """Returns whether each disk has more free space than is reserved for changes.

        If not, rejected attempts are only counted. So a flood of rejections cannot fill the disk
        and prevent a change.
        """
        for folder in self._folders:
            try:
                found = os.statvfs(folder)
            except OSError:
                continue  # the store reports such an error
            reserved = min(_RESERVED_BYTES, found.f_blocks * found.f_frsize // _RESERVED_DIVISOR)
            if found.f_bavail * found.f_frsize < reserved:
                return False
        return True

    def _maintain(self) -> None:
        self._store.export()
        if self._retention:
            seconds = self._retention / 2 if self._is_nearly_full() else self._retention
            self._store.prune_audit(_format_time(datetime.now(UTC) - timedelta(seconds=seconds)))

    def _is_nearly_full(self) -> bool:
        """Returns whether 80 % of the store's limit are used; a change is reported once."""
        try:
            size = self._store.size()
        except StoreUnavailable:  # a store that does not tell its size is pruned all the same
            return self._was_nearly_full
        is_full = size is not None and 0 < size.limit * _NEARLY_FULL <= size.used
        if is_full and not self._was_nearly_full and size is not None:
            share = size.used / size.limit
            self._log_error(f"{share:.0%} of the store is used: the audit is kept half as long")
        self._was_nearly_full = is_full
        return is_full


def audit_time() -> str:
    """Returns the current time in the format of audit records: ISO 8601 in UTC."""
    return _format_time(datetime.now(UTC))


def _merge(known: _DeniedAttempts, new: _DeniedAttempts) -> None:
    known.time, known.count = min(known.time, new.time), known.count + new.count


def _record_bytes(kind: _AttemptKey) -> int:
    """Returns the approximate size of the record for *kind* in JSON, in bytes."""
    return _RECORD_BYTES + sum(len(json.dumps(text)) for text in kind)


def _format_time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _truncate(text: str, longest: int) -> str:
    if len(text) <= longest and text.isascii():
        return text
    cut = (
        text if len(text) <= longest else text[: longest - len(_TRUNCATION_MARK)] + _TRUNCATION_MARK
    )
    return cut.encode("utf-8", "replace").decode()
