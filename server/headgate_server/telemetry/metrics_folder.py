"""The temporary folder in which the workers of a server share their metrics.

The server removes its folder when it ends. A killed server leaves its folder, and the next server
removes that folder. A file lock shows whether the server that created a folder is alive.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "headgate-metrics-"
_LOCK = "owner"  # the lock file; the files of prometheus_client end in .db


@contextmanager
def create_owned_folder() -> Iterator[str]:
    """Yields the path of a new folder, and removes the folder at the end of the context.

    Before it creates the folder, removes the folders of servers that were killed.
    """
    _remove_ownerless()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        # Workers are started with exec: they do not inherit the lock, which ends with this process.
        unlocked = Path(folder, f"{_LOCK}.new")
        lock = os.open(unlocked, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked.rename(Path(folder, _LOCK))  # the file is locked before it has its final name
            yield folder
        finally:
            os.close(lock)


def _remove_ownerless() -> None:
    """Removes the metrics folders of this user that killed servers have left.

    A folder without a lock file stays: a server may be creating it.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
