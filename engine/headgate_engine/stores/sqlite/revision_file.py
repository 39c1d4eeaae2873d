"""The side file of a store, `<store>.lock`: orders its writers, and knows how far it had come.

SQLite passes over a write-ahead log that was cut or removed, and what was in it has never been: a
privilege that was taken away is there again. Hence the mark. Readers ask it, too, for it is quicker
than SQLite: as long as it is the same nobody was told that anything is done.
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

# So long a mark that stays the same is taken for a store that stays the same.
TRUSTED_SECONDS = 0.05

# The one byte, far behind the mark, whose lock says that the store is in use.
_IN_USE_OFFSET = 4096
_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02

_MARK = re.compile(rb"([0-9a-f]{32}) ([0-9]{20})\n")
_LENGTH = 54


def file_of(path: Path) -> Path:
    """The file that *path* names; where *path* is a symbolic link, its target.

    All processes that use one store must agree on its side file, as SQLite's do on its log.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def side_path(path: Path) -> Path:
    """Where the side file of the store *path* is. That it is there says that there was a store."""
    file = file_of(path)
    return file.with_name(file.name + ".lock")


class SideFile:
    """Made if it is missing, for its owner only. Raises OSError."""

    def __init__(self, path: Path) -> None:
        side = side_path(path)
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(side, flags, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            # Another user of the folder may have put it there, to have a file made elsewhere.
            raise OSError(errno.ELOOP, "it is a symbolic link: remove it", str(side)) from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps all other writers waiting, in this process and in others."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def share(self) -> bool:
        """Marks the store as in use, until `close` or the end of the process, however it ends.

        Returns False if another process still holds the store alone after five seconds.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._lock(fcntl.F_RDLCK):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def hold_alone(self) -> bool:
        """Takes the store for this object alone, until `close`.

        Returns False, at once, if anything has it in use: another process, or this one.
        """
        return self._lock(fcntl.F_WRLCK)

    def _lock(self, kind: int) -> bool:
        # A lock of the open file description: unlike POSIX's older locks it survives the closing of
        # another descriptor, and holds between two stores of one process. `held` is flock's, which
        # local file systems keep apart from it.
        request = struct.pack("hhqqi4x", kind, os.SEEK_SET, _IN_USE_OFFSET, 1, 0)
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as POSIX leaves it open
            return False
        return True

    def mark(self, epoch: str, revision: int) -> None:
        """Notes that *revision* is durable. For who holds the lock."""
        # Never synced: after a power cut it may be behind the store, and says nothing wrong.
        # A mark that cannot be written is missing then, and the change is made all the same: when
        # those who trust the former one have looked at the store itself.
        try:
            os.pwrite(self._file, f"{epoch} {revision:020}\n".encode(), 0)
        except OSError:
            time.sleep(TRUSTED_SECONDS)

    def now(self) -> bytes:
        """The mark, whatever it says: another one if a change was acknowledged meanwhile."""
        return os.pread(self._file, _LENGTH, 0)

    def marked(self, epoch: str) -> int:
        """The last revision of *epoch* that was noted; 0 if none was."""
        mark = _MARK.fullmatch(self.now())
        return int(mark[2]) if mark is not None and mark[1].decode() == epoch else 0

    def close(self) -> None:
        os.close(self._file)
