"""Recovers a SQLite user store: from a backup, or by accepting the loss of changes.

`restore` and `accept_rollback` fail while any process has the store open.
"""

import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.stores.sqlite.backup import NEW_EPOCH, copy, sync_folder
from headgate_engine.stores.sqlite.connection import connect, open_error, open_file
from headgate_engine.stores.sqlite.file import (
    backup_error,
    check_backup,
    check_version,
    exclusive_access,
    integrity_errors,
)
from headgate_engine.stores.sqlite.revision_file import resolve_link, revision_file_path

_FILE_SUFFIXES = ("", "-wal", "-shm")


def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path | None:
    """Replaces the store *path* by a copy of the store *backup*.

    Returns the new path of the previous file, or None if there was no file.

    Raises:
        StoreError: *backup* is missing or damaged, *backup* cannot be copied, or a process has the
            store *path* open. Nothing was changed.
    """
    source, to = Path(backup), resolve_link(Path(path))
    if not source.exists():
        raise StoreError(f"there is no store {source}")
    check_backup(source)
    try:
        if revision_file_path(to).exists():
            with exclusive_access(to):
                pass  # fails before a large store is copied
        return _replace(source, to)
    except OSError as error:
        raise StoreError(f"cannot restore {to}: {error.strerror}") from None


def _replace(source: Path, to: Path) -> Path | None:
    fresh = to.with_name(to.name + ".restoring")
    fresh.unlink(missing_ok=True)  # left behind by a killed restore
    _copy(source, fresh)
    try:
        with exclusive_access(to) as side, side.exclude_writers():
            old = _move_aside(to) if to.exists() else None
            os.rename(fresh, to)
            sync_folder(to.parent)
    finally:
        fresh.unlink(missing_ok=True)
    return old


def _copy(source: Path, fresh: Path) -> None:
    try:
        with closing(open_file(source, write=False)) as connection:
            if wrong := integrity_errors(connection):
                raise StoreError(f"backup {source} is damaged: {wrong[0]}")
            copy(connection, fresh)
    except apsw.Error as error:
        raise backup_error(source, error) from None


def _move_aside(path: Path) -> Path:
    """Renames the store *path*, and returns its new path.

    Its -wal and -shm files are renamed, too: under their old names these files would corrupt the
    new store.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    old = path.with_name(f"{path.name}.before-{moment}")
    for part in _FILE_SUFFIXES:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{part}", f"{old}{part}")
    return old


def accept_rollback(path: str | os.PathLike[str]) -> int:
    """Makes the store *path* usable again although it lacks acknowledged changes.

    A new epoch in the store makes the high-water mark in `<store>.lock` invalid. That mark is the
    newest acknowledged revision. Returns the store's revision.

    Raises:
        StoreError: the store is missing or cannot be used, or a process has it open.
    """
    store = Path(path)
    if not store.exists():
        raise StoreError(f"there is no store {store}")
    check_version(store)
    try:
        with exclusive_access(store), closing(connect(store)) as connection:
            with connection:
                connection.execute(NEW_EPOCH)
            revision: int = connection.execute("SELECT rev FROM meta").get
    except apsw.Error as error:
        raise open_error(store, error) from None
    except OSError as error:
        raise StoreError(f"cannot open store {store}: {error.strerror}") from None
    return revision
