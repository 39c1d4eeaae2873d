"""The file of a SQLite store: made whole or not at all, and opened only if it is one of ours.

A store that vanished must never come back empty: the first stranger could make himself its
administrator.
"""

import os
import tempfile
from pathlib import Path

import apsw

from headgate_engine.connection import connect, open_file, refused
from headgate_engine.errors import StoreError
from headgate_engine.schema import APPLICATION_ID, MIGRATIONS, SCHEMA, VERSION
from headgate_engine.sidefile import SideFile, side_path
from headgate_engine.storecopy import copy, sync_folder


def prepare(path: Path, *, create: bool = True) -> tuple[bool, int]:
    """Makes sure that *path* is a store that can be written to.

    Gives whether it had to be created, and from which version it was upgraded (0: it was not).
    Raises StoreError if it is missing although there was one or *create* is false, or cannot be
    used.
    """
    if not create and not path.exists():
        raise StoreError(f"there is no store {path}")
    created = _create_if_first(path)
    if path.stat().st_size == 0:
        raise StoreError(
            f"store {path} is an empty file: put a backup in its place with"
            " `headgate store restore`"
        )
    version = check_version(path)
    connection = connect(path)
    try:
        if version < VERSION:
            _upgrade(connection, path, version)
        with connection:
            # A real write, so that a read-only place is found now and not at the first REVOKE.
            connection.execute("UPDATE meta SET rev = rev")
    except apsw.Error as error:
        raise refused(path, error) from None
    finally:
        connection.close()
    return created, version if version < VERSION else 0


def check_mark(path: Path, connection: apsw.Connection, side: SideFile) -> None:
    """Raises StoreError if the store is behind what its side file says was acknowledged."""
    # The mark first: somebody else may go on meanwhile.
    try:
        epoch: str = connection.execute("SELECT epoch FROM meta").get
        marked = side.marked(epoch)
        revision: int = connection.execute("SELECT rev FROM meta").get
    except apsw.Error as error:
        raise refused(path, error) from None
    if revision < marked:
        raise StoreError(
            f"store {path} is at revision {revision}, but {marked} was acknowledged: its -wal file"
            " was cut or removed; put a backup in its place with `headgate store restore`, or go on"
            " without these changes with `headgate store accept-rollback`"
        )


def _upgrade(connection: apsw.Connection, path: Path, version: int) -> None:
    """From *version* to the one of today; a copy of what was stays as `<store>.v<version>`."""
    old = path.with_name(f"{path.name}.v{version}")
    try:
        copy(connection, old)
    except StoreError:
        if not old.exists():  # else another process has made it, now or long ago
            raise
    # Only then the lock: nobody else may have done it meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for step in range(connection.pragma("user_version"), VERSION):
            connection.execute(MIGRATIONS[step]).fetchall()
        connection.execute(f"PRAGMA user_version = {VERSION}").fetchall()
    connection.execute("COMMIT")


def faults(connection: apsw.Connection) -> list[str]:
    """What is wrong in the file: a sentence each, at most a hundred."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        loose = connection.execute("PRAGMA foreign_key_check").fetchall()
    except apsw.Error as error:
        return [str(error)]
    sentences = [sentence for sentence in found if sentence != "ok"]
    return sentences + [f"a row of {row[0]} belongs to nothing" for row in loose[:100]]


def _create_if_first(path: Path) -> bool:
    if path.exists():
        return False
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no folder {path.parent}")
    lock = side_path(path)
    if lock.exists():
        raise StoreError(
            f"store {path} is gone, but {lock.name} says that there was one: put a backup in "
            f"its place with `headgate store restore`, or remove {lock.name} to begin anew"
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
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot create store {path}: {error.strerror}") from None
    except apsw.Error as error:
        raise refused(path, error) from None
    return True


def _fill(path: Path) -> None:
    connection = open_file(path)
    try:
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        with connection:
            connection.execute(SCHEMA).fetchall()
    finally:
        connection.close()


def check_version(path: Path, *, write: bool = True) -> int:
    """Its schema's version. Raises StoreError for what is no store of ours, and changes nothing."""
    try:
        connection = open_file(path, write=write)
        try:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
        finally:
            connection.close()
    except apsw.Error as error:
        raise refused(path, error) from None
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite database, but not a store of Headgate")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise StoreError(
            f"store {path} has schema version {version}; this Headgate knows up to {VERSION}:"
            " a newer Headgate made it, use that one"
        )
    return version
