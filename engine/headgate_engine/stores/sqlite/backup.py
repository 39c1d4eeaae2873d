"""Backs up a SQLite user store: copies a snapshot of it into one file."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.stores.sqlite.connection import open_file

# The epoch identifies the history of a store. The high-water mark in `<store>.lock` counts only
# for its own epoch, so that a new epoch may begin at a lower revision.
NEW_EPOCH = "UPDATE meta SET epoch = lower(hex(randomblob(16)))"


def copy(source: apsw.Connection, to: Path) -> None:
    """Copies a snapshot of *source* to the new file *to*, mode 0600. Raises StoreError."""

    def fill(target: apsw.Connection) -> None:
        with target.backup("main", source, "main") as backup:
            # In one step: a change by another process between steps restarts the copy.
            backup.step(-1)
        target.execute(NEW_EPOCH)

    make_file(to, fill)


def make_file(to: Path, fill: Callable[[apsw.Connection], None]) -> None:
    """Makes the new file *to*, mode 0600, with what *fill* writes, or no file at all.

    Raises StoreError.
    """
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f"{to.name}.new.", dir=to.parent)
        os.close(handle)
        try:
            target = open_file(Path(unfinished))
            try:
                fill(target)
                # Without a write-ahead log the copy is a single file.
                target.execute("PRAGMA journal_mode = DELETE").fetchall()
            finally:
                target.close()
            _sync_file(unfinished)
            os.link(unfinished, to)
        finally:
            os.unlink(unfinished)
        sync_folder(to.parent)
    except FileExistsError:
        raise StoreError(f"cannot copy to {to}: it is there already") from None
    except OSError as error:
        raise StoreError(f"cannot copy to {to}: {error.strerror}") from None
    except (apsw.Error, ValueError) as error:  # ValueError: the source was closed meanwhile
        raise StoreError(f"cannot copy to {to}: {error}") from None


def _sync_file(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes new and renamed files in *folder* durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
