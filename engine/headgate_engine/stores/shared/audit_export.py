"""Appends the audit records of this machine's processes to its audit file.

The records of a change are in the log, in the same transaction as the change. The file is a copy.
`<file>.mark` has the id of the last record that was looked at, and the epoch of its store.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from headgate_engine.errors import StoreUnavailable
from headgate_engine.stores.audit_file import AuditFile
from headgate_engine.stores.shared.log import Entry

_PAGE_RECORDS = 1000


class AuditExport:
    """Copies the entries of *machine* to *file*, once, by one of the machine's processes at a time.

    *entries* is `Log.entries`, *epoch* returns the epoch of the store. Thread-safe.
    """

    def __init__(
        self,
        file: AuditFile,
        machine: str,
        entries: Callable[[int, int], Sequence[Entry]],
        epoch: Callable[[], str],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._failed = failed
        self._file, self._machine, self._entries, self._epoch = file, machine, entries, epoch
        self._mark_path = Path(f"{os.fspath(file.path)}.mark")
        self._lock = threading.Lock()
        self._is_behind = False

    def check(self) -> None:
        """Raises StoreUnavailable if a record could not be appended now. For use before a change.

        After a record that could not be appended, appends it first.
        """
        try:
            self._file.check()
        except OSError as error:
            self._failed()
            raise _unwritable(error) from None
        if self._is_behind:
            self.run()

    def run(self) -> None:
        """Appends the records that the file lacks. Raises StoreUnavailable."""
        try:
            with self._lock, open(self._mark_path, "a+b", opener=_open_private) as mark:
                fcntl.flock(mark, fcntl.LOCK_EX)
                self._append_missing(mark.fileno())
        except OSError as error:
            self._is_behind = True
            self._failed()
            raise _unwritable(error) from None
        except StoreUnavailable:
            self._is_behind = True
            raise
        self._is_behind = False

    def _append_missing(self, mark: int) -> None:
        last = self._last(os.pread(mark, 100, 0).decode("ascii", "replace").split())
        count = _PAGE_RECORDS
        while count >= _PAGE_RECORDS and (entries := self._entries(last, _PAGE_RECORDS)):
            count = sum(len(entry.records) for entry in entries)
            own = [it for entry in entries if self._is_own(entry) for it in entry.records]
            if records := [record for record in own if record.id > last]:
                self._file.append(records)
            last = max(entry.audit for entry in entries)
            os.pwrite(mark, f"{last:020} {self._epoch()}\n".encode(), 0)

    def _last(self, words: Sequence[str]) -> int:
        """Returns the id of the last record that was looked at, from the *words* of the mark."""
        if len(words) != 2 or not words[0].isdigit():
            return 0
        last = int(words[0])
        if words[1] == self._epoch():
            return last
        # Another store has its own ids. One that went back goes on with later ids.
        later = self._entries(last, 1)
        return last if later and machine_of(later[0].txn) == "accept-rollback" else 0

    def _is_own(self, entry: Entry) -> bool:
        return machine_of(entry.txn) == self._machine


def machine_of(txn: str) -> str:
    """Returns the name of the machine that made the change *txn*."""
    return txn.rsplit(" ", 2)[0]


def _open_private(path: str, flags: int) -> int:
    # O_APPEND would make each write go to the end.
    return os.open(path, flags & ~os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _unwritable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the audit file cannot be written: {error.strerror}")
