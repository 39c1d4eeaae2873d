"""Checks whether a SQLite user store can be opened, and leaves its folder unchanged."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.stores.sqlite.connection import open_error
from headgate_engine.stores.sqlite.reads import has_no_users
from headgate_engine.stores.sqlite.revision_file import RevisionFile, revision_file_path
from headgate_engine.stores.sqlite.schema import APPLICATION_ID, VERSION

# https://www.sqlite.org/fileformat.html, section 1.3: the database header.
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_USER_VERSION = slice(60, 64)
_APPLICATION_ID = slice(68, 72)


def try_store(path: Path) -> None:
    """Checks that a server could open or create the store *path*. Writes nothing.

    Raises:
        StoreError: a server could neither open nor create the store.
    """
    try:
        if not path.exists():
            _check_folder(path)
            return
        _check_header(path)
        _check_permissions(path)
        _check_content(path)
    except PermissionError:
        raise open_error(path, apsw.PermissionsError()) from None
    except OSError as error:
        name = error.filename or path
        raise StoreError(f"cannot open store {name}: {error.strerror}") from None


def has_users(path: Path) -> bool:
    """Returns whether the store *path* exists and has a user. Writes nothing.

    Raises:
        StoreError: the file is no readable store.
    """
    if not path.exists():
        return False
    try:
        with _read_only(path) as connection:
            return not has_no_users(connection)
    except apsw.Error as error:
        raise open_error(path, error) from None
    except OSError as error:
        raise StoreError(f"cannot open store {path}: {error.strerror}") from None


def _check_folder(path: Path) -> None:
    """Checks that a missing store *path* could be created in its folder."""
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no folder {path.parent}")
    lock = revision_file_path(path)
    if lock.exists():
        raise StoreError(
            f"store {path} is gone, but {lock.name} says that there was one: put a backup in "
            f"its place with `headgate store restore`, or remove {lock.name} to begin anew"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreError(f"cannot create store {path}: Permission denied")


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header:
        raise StoreError(
            f"store {path} is an empty file: put a backup in its place with"
            " `headgate store restore`"
        )
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        raise open_error(path, apsw.NotADBError())
    if int.from_bytes(header[_APPLICATION_ID]) != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite database, but not a store of Headgate")
    version = int.from_bytes(header[_USER_VERSION])
    if not 1 <= version <= VERSION:
        raise StoreError(
            f"store {path} has schema version {version}; this Headgate knows up to {VERSION}:"
            " a newer Headgate made it, use that one"
        )


def _check_permissions(path: Path) -> None:
    """Checks that this process may write the store and its -wal, -shm and .lock files.

    The process must also be allowed to create files in the folder.
    """
    beside = (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
    files = [one for one in (path, *beside, revision_file_path(path)) if one.exists()]
    writable = all(os.access(one, os.R_OK | os.W_OK) for one in files)
    if not writable or not os.access(path.parent, os.W_OK | os.X_OK):
        raise open_error(path, apsw.ReadOnlyError())


def _check_content(path: Path) -> None:
    """Checks that the store is readable and lacks no acknowledged change.

    The high-water mark in `<store>.lock` is the newest acknowledged revision.
    """
    revision_file = RevisionFile(path) if revision_file_path(path).exists() else None
    try:
        with _read_only(path) as connection:
            epoch: str = connection.execute("SELECT epoch FROM meta").get
            acknowledged = (
                revision_file.acknowledged_revision(epoch) if revision_file is not None else 0
            )
            revision: int = connection.execute("SELECT rev FROM meta").get
            has_no_users(connection)
    except apsw.Error as error:
        raise open_error(path, error) from None
    finally:
        if revision_file is not None:
            revision_file.close()
    if revision < acknowledged:
        raise StoreError(
            f"store {path} is at revision {revision}, but {acknowledged} was acknowledged:"
            " its -wal file"
            " was cut or removed; put a backup in its place with `headgate store restore`, or go on"
            " without these changes with `headgate store accept-rollback`"
        )


@contextmanager
def _read_only(path: Path) -> Iterator[apsw.Connection]:
    """Returns a context with a connection that reads the store *path* and writes nothing."""
    with tempfile.TemporaryDirectory(prefix="headgate-check-") as folder:
        connection = _connect_read_only(path, Path(folder))
        try:
            yield connection
        finally:
            connection.close()


def _connect_read_only(path: Path, folder: Path) -> apsw.Connection:
    """Returns a connection to the store *path* that creates no file beside the store.

    A file that another user's check left there would prevent the server from opening the store.
    *folder* is an empty folder for a temporary copy.
    """
    log = path.with_name(f"{path.name}-wal")
    index = path.with_name(f"{path.name}-shm")
    logged = log.exists() and log.stat().st_size > 0
    if logged and index.exists():
        return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    if logged:
        for one in (path, log):
            shutil.copy(one, folder)
        return apsw.Connection(str(folder / path.name))
    address = f"file:{quote(os.fsencode(path.absolute()))}?immutable=1"
    return apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
