"""The ways back: a store from its backup, and going on with less than was acknowledged.

No server may run on the store meanwhile; one that does refuses everything from then on.
"""

import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import apsw

from headgate_engine.connection import connect, open_file, refused
from headgate_engine.errors import StoreError
from headgate_engine.sidefile import SideFile
from headgate_engine.storecopy import NEW_EPOCH, copy, sync_folder
from headgate_engine.storefile import check_version, faults

_PARTS = ("", "-wal", "-shm")


def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path | None:
    """Puts a copy of the store *backup* in place of *path*. Gives where that is now, if it was.

    Raises StoreError if *backup* is no sound store, or the copy cannot be made; then nothing is
    changed.
    """
    source, to = Path(backup), Path(path)
    if not source.exists():
        raise StoreError(f"there is no store {source}")
    fresh = to.with_name(to.name + ".restoring")
    with suppress(FileNotFoundError):
        fresh.unlink()  # of one that was broken off
    check_version(source, write=False)
    try:
        with closing(open_file(source, write=False)) as connection:
            if wrong := faults(connection):
                raise StoreError(f"backup {source} is damaged: {wrong[0]}")
            copy(connection, fresh)
    except apsw.Error as error:
        raise refused(source, error) from None
    try:
        side = SideFile(to)
        with closing(side), side.held():
            old = _set_aside(to) if to.exists() else None
            os.rename(fresh, to)
            sync_folder(to.parent)
    except OSError as error:
        raise StoreError(f"cannot restore {to}: {error.strerror}") from None
    return old


def _set_aside(path: Path) -> Path:
    """With its write-ahead log: on the new file it would be poison."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    old = path.with_name(f"{path.name}.before-{moment}")
    for part in _PARTS:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{part}", f"{old}{part}")
    return old


def accept_rollback(path: str | os.PathLike[str]) -> int:
    """Takes the store *path* as it is, though more was acknowledged. Its revision.

    Raises StoreError.
    """
    store = Path(path)
    if not store.exists():
        raise StoreError(f"there is no store {store}")
    check_version(store)
    with closing(connect(store)) as connection:
        try:
            with connection:
                connection.execute(NEW_EPOCH)
            revision: int = connection.execute("SELECT rev FROM meta").get
        except apsw.Error as error:
            raise refused(store, error) from None
    return revision
