"""The side file `<store>.lock`: orders the writers of a store and holds its high-water mark.

If the write-ahead log is truncated or deleted, SQLite silently drops its transactions, and a
revoked privilege reappears. The high-water mark is the newest acknowledged revision: a store behind
it has lost changes. Readers compare the mark, too, which is faster than a query of SQLite. While
the mark stays the same, no change has been acknowledged.
"""

import errno
import fcntl
import os
import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headgate_engine.errors import StoreUnavailable

# While the high-water mark stays the same, readers use their cache for this long without a query.
MARK_CACHE_SECONDS = 0.05

# The byte, far after the high-water mark, that is locked while the store is in use.
_IN_USE_OFFSET = 4096
_SHARE_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.02

_MARK_PATTERN = re.compile(rb"([0-9a-f]{32}) ([0-9]{20})\n")
_MARK_BYTES = 54


def resolve_link(path: Path) -> Path:
    """Returns *path*, or its target if *path* is a symbolic link.

    All processes that use a store must use the same side file, as SQLite does with its log.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def revision_file_path(path: Path) -> Path:
    """Returns the path of the side file of the store *path*.

    The side file exists if there ever was a store.
    """
    file = resolve_link(path)
    return file.with_name(file.name + ".lock")


class RevisionFile:
    """The open side file `<store>.lock` of the user store *path*.

    A missing side file is created, with access for its owner only. Raises OSError if the side file
    cannot be opened or is a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        side = revision_file_path(path)
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(side, flags, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            # Another user of the folder may have made the link, to have a file created elsewhere.
            raise OSError(errno.ELOOP, "it is a symbolic link: remove it", str(side)) from None

    @contextmanager
    def exclude_writers(self) -> Iterator[None]:
        """Excludes all other writers, in this process and in others, during the context.

        Raises StoreUnavailable after `close`.
        """
        if self._file < 0:
            raise StoreUnavailable("it is closed")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def lock_shared(self) -> bool:
        """Marks the store as in use until `close` or until the process ends or is killed.

        Returns False if another process still holds the exclusive lock after five seconds.
        """
        deadline = time.monotonic() + _SHARE_TIMEOUT_SECONDS
        while not self._lock(fcntl.F_RDLCK):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def lock_exclusively(self) -> bool:
        """Locks the store exclusively until `close`.

        Returns False immediately if another process, or another `RevisionFile` of this process,
        uses the store.
        """
        return self._lock(fcntl.F_WRLCK)

    def _lock(self, kind: int) -> bool:
        # A lock of the open file description: unlike POSIX's older locks it survives the closing of
        # another descriptor, and excludes a second store in the same process. `exclude_writers`
        # uses flock: on a local file system the two kinds of locks do not block each other.
        request = struct.pack("hhqqi4x", kind, os.SEEK_SET, _IN_USE_OFFSET, 1, 0)
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
            return False
        return True

    def set_high_water_mark(self, epoch: str, revision: int) -> None:
        """Writes *revision* of *epoch* as the high-water mark. The revision must be durable.

        Call it within `exclude_writers`.
        """
        # Never synced: after a power cut the mark may be behind the store, which is harmless. If
        # the mark cannot be written, a pause delays the acknowledgment. After the pause no reader
        # trusts the previous mark: all readers query the store itself.
        try:
            os.pwrite(self._file, f"{epoch} {revision:020}\n".encode(), 0)
        except OSError:
            time.sleep(MARK_CACHE_SECONDS)

    def high_water_mark(self) -> bytes:
        """Returns the high-water mark as bytes, which differ after each acknowledged change."""
        return os.pread(self._file, _MARK_BYTES, 0)

    def acknowledged_revision(self, epoch: str) -> int:
        """Returns the acknowledged revision of *epoch*, or 0 without a mark of that epoch."""
        mark = _MARK_PATTERN.fullmatch(self.high_water_mark())
        return int(mark[2]) if mark is not None and mark[1].decode() == epoch else 0

    def close(self) -> None:
        """Closes the file and releases its locks."""
        os.close(self._file)
        self._file = -1  # the closed descriptor's number may soon belong to another file
