"""The file of a SQLite store: made whole or not at all, and opened only if it is one of ours.

A store that vanished must never come back empty: the first stranger could make himself its
administrator.
"""

import os
import tempfile
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.schema import APPLICATION_ID, SCHEMA, VERSION

_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""
_BUSY_MILLISECONDS = 5000


def lock_path(path: Path) -> Path:
    """The side file that orders writers; that it is there says that there was a store."""
    return path.with_name(path.name + ".lock")


def prepare(path: Path, *, create: bool = True) -> bool:
    """Makes sure that *path* is a store that can be written to; whether it had to be created.

    Raises StoreError if it is missing although there was one or *create* is false, or cannot be
    used.
    """
    if not create and not path.exists():
        raise StoreError(f"there is no store {path}")
    created = _create_if_first(path)
    if path.stat().st_size == 0:
        raise StoreError(f"store {path} is an empty file: restore it from a backup")
    _check(path)
    connection = connect(path)
    try:
        with connection:
            # A real write, so that a read-only place is found now and not at the first REVOKE.
            connection.execute("UPDATE meta SET rev = rev")
    except apsw.Error as error:
        raise _refused(path, error) from None
    finally:
        connection.close()
    return created


def faults(connection: apsw.Connection) -> list[str]:
    """What is wrong in the file: a sentence each, at most a hundred."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        loose = connection.execute("PRAGMA foreign_key_check").fetchall()
    except apsw.Error as error:
        return [str(error)]
    sentences = [sentence for sentence in found if sentence != "ok"]
    return sentences + [f"a row of {row[0]} belongs to nothing" for row in loose[:100]]


def copy(source: apsw.Connection, to: Path) -> None:
    """Writes all that *source* holds at one moment to the new file *to*, mode 0600. Raises
    StoreError.
    """
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f"{to.name}.new.", dir=to.parent)
        os.close(handle)
        try:
            target = _open(Path(unfinished))
            try:
                with target.backup("main", source, "main") as backup:
                    while not backup.done:
                        backup.step(1000)
                # One file, whatever the source is: there is no second one to forget.
                target.execute("PRAGMA journal_mode = DELETE").fetchall()
            finally:
                target.close()
            _sync_file(unfinished)
            os.link(unfinished, to)
        finally:
            os.unlink(unfinished)
        _sync_folder(to.parent)
    except FileExistsError:
        raise StoreError(f"cannot copy to {to}: it is there already") from None
    except OSError as error:
        raise StoreError(f"cannot copy to {to}: {error.strerror}") from None
    except apsw.Error as error:
        raise StoreError(f"cannot copy to {to}: {error}") from None


def connect(path: Path) -> apsw.Connection:
    """A connection to the existing store at *path*. Raises StoreError."""
    try:
        connection = _open(path)
        connection.execute(_PRAGMAS).fetchall()
    except apsw.Error as error:
        raise _refused(path, error) from None
    return connection


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    return connection


def _create_if_first(path: Path) -> bool:
    if path.exists():
        return False
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no folder {path.parent}")
    lock = lock_path(path)
    if lock.exists():
        raise StoreError(
            f"store {path} is gone, but {lock.name} says that there was one: restore it from a "
            f"backup, or remove {lock.name} to begin with a new one"
        )
    # Made under another name first: whoever is killed here leaves no half store behind.
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f"{path.name}.new.", dir=path.parent)
        os.close(handle)
        try:
            _fill(Path(unfinished))
            try:
                os.link(unfinished, path)
            except FileExistsError:
                return False  # another process was first
        finally:
            os.unlink(unfinished)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot create store {path}: {error.strerror}") from None
    except apsw.Error as error:
        raise _refused(path, error) from None
    return True


def _fill(path: Path) -> None:
    connection = _open(path)
    try:
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        with connection:
            connection.execute(SCHEMA).fetchall()
    finally:
        connection.close()


def _sync_file(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(path: Path) -> None:
    """Raises StoreError for what is no store of ours, and changes nothing in it."""
    try:
        connection = _open(path)
        try:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
        finally:
            connection.close()
    except apsw.Error as error:
        raise _refused(path, error) from None
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite database, but not a store of Headgate")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError(
            f"store {path} has schema version {version}; this Headgate knows up to {VERSION}"
        )


def _refused(path: Path, error: apsw.Error) -> StoreError:
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            reason = "it is damaged, or no store at all: restore it from a backup"
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            reason = f"user id {os.getuid()} may not write to it or to its folder"
        case apsw.FullError():
            reason = "the disk is full"
        case _:
            reason = str(error)
    return StoreError(f"cannot open store {path}: {reason}")
