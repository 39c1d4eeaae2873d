"""The side file of a store, `<store>.lock`: orders its writers, and knows how far it had come.

SQLite passes over a write-ahead log that was cut or removed, and what was in it has never been: a
privilege that was taken away is there again. Hence the mark.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = re.compile(rb"([0-9a-f]{32}) ([0-9]{20})\n")


def side_path(path: Path) -> Path:
    """Where the side file of the store *path* is. That it is there says that there was a store."""
    return path.with_name(path.name + ".lock")


class SideFile:
    """Made if it is missing, for its owner only. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(side_path(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps all other writers waiting, in this process and in others."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def mark(self, epoch: str, revision: int) -> None:
        """Notes that *revision* is durable. For who holds the lock."""
        # Never synced: after a power cut it may be behind the store, and says nothing wrong.
        # A mark that cannot be written is missing then, and the change is made all the same.
        with suppress(OSError):
            os.pwrite(self._file, f"{epoch} {revision:020}\n".encode(), 0)

    def marked(self, epoch: str) -> int:
        """The last revision of *epoch* that was noted; 0 if none was."""
        mark = _MARK.fullmatch(os.pread(self._file, 64, 0))
        return int(mark[2]) if mark is not None and mark[1].decode() == epoch else 0

    def close(self) -> None:
        os.close(self._file)
