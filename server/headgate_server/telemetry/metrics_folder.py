"""The temporary folder in which the workers of a server share their metrics.

The server removes its folder when it ends. A killed server leaves its folder, and the next server
removes that folder. A file lock shows whether the server that created a folder is alive.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from headgate_server.telemetry.process_metrics import is_of_this_server

_PREFIX = "headgate-metrics-"
_LOCK = "owner"  # the lock file; the files of prometheus_client end in .db
_RESTARTS = "restarts"


class FolderCollector(Collector):
    """Reads the metrics of all workers from the files in *folder*.

    A file is empty for a moment when a worker creates it, and for ever if that worker is killed
    then. Such a file has no metrics yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Returns the sums over all workers."""
        files = [str(path) for path in self._folder.glob("*.db") if _size(path)]
        found: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        restarts = CounterMetricFamily(
            "headgate_worker_restarts",
            "Workers started in place of one that has ended.",
            value=_size(self._folder / _RESTARTS),
        )
        return [*found, restarts]

    def pids(self) -> Iterable[int]:
        """Yields the ids of the server's processes: of the supervisor, and of each worker."""
        named = {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("*_*.db")}
        return (pid for pid in sorted({os.getppid(), *named}) if is_of_this_server(pid))


def add_restart(folder: Path) -> None:
    """Counts a restart of a worker in *folder*: the size of a file is their number.

    It is not counted if the disk is full.
    """
    with suppress(OSError), (folder / _RESTARTS).open("ab") as file:
        file.write(b".")


def _size(path: Path) -> int:
    """Returns the size of the file *path*; 0 if the worker's end has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


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
