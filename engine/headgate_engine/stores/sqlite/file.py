"""Creates, opens and upgrades the SQLite file of a user store; rejects files of other programs.

A store file that has vanished is never recreated: in an empty store the first client could make
itself the administrator.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.stores.sqlite.backup import copy, sync_folder
from headgate_engine.stores.sqlite.connection import connect, describe, open_error, open_file
from headgate_engine.stores.sqlite.foreign_files import known_format
from headgate_engine.stores.sqlite.revision_file import RevisionFile, revision_file_path
from headgate_engine.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS, SCHEMA, VERSION

# How long an upgrade waits for other processes, and how often it looks.
_UPGRADE_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.02


def open_or_create(path: Path, *, create: bool = True) -> tuple[bool, int]:
    """Ensures that *path* is a writable store of the current schema version.

    Returns whether the store was created, and the version before an upgrade (0: no upgrade).

    Raises StoreError if the file cannot be used. Also raises StoreError for a missing file if
    *create* is False, or if its side file `<store>.lock` shows that there was a store.
    """
    created, version = _exists_or_create(path, create=create)
    connection = connect(path)
    try:
        if version < VERSION:
            _upgrade(connection, path, version)
        with connection:
            # A real write detects a read-only file now instead of at the first REVOKE.
            connection.execute("UPDATE meta SET rev = rev")
    except apsw.Error as error:
        raise open_error(path, error) from None
    finally:
        connection.close()
    return created, version if version < VERSION else 0


def _exists_or_create(path: Path, *, create: bool) -> tuple[bool, int]:
    """Ensures that there is a store at *path*. Returns whether it was created, and its version.

    Raises StoreError if the file is no store, or if it is missing and cannot be created.
    """
    if not create and not path.exists():
        raise StoreError(f"there is no store {path}")
    created = _create_if_first(path)
    if path.stat().st_size == 0:
        raise StoreError(
            f"store {path} is an empty file: put a backup in its place with"
            " `headgate store restore`"
        )
    return created, check_version(path)


def mark_in_use(path: Path, *, create: bool = True) -> tuple[RevisionFile, bool, int]:
    """Opens or creates the store *path*, and marks it as in use.

    While it is in use, `headgate store restore` refuses to replace it.

    Returns the open side file `<store>.lock`, then the two results of `open_or_create`. The store
    stays marked until the side file is closed.

    Raises StoreError if the store cannot be used, OSError if the side file cannot be opened.
    """
    created, alone = False, 0
    if not revision_file_path(path).exists():
        created, _ = _exists_or_create(path, create=create)
        create = False
        if not created:  # a file that cannot be used gets no side file
            alone = open_or_create(path, create=False)[1]
    try:
        side = RevisionFile(path)
    except OSError:
        # In a read-only folder `open_or_create` raises an error that explains more.
        open_or_create(path, create=create)
        raise
    try:
        if _is_older(path):
            alone = _upgrade_alone(path, side) or alone
        _share(path, side)
        # Opened after it was marked as in use: until then, it may be replaced.
        _, upgraded = open_or_create(path, create=create)
    except BaseException:
        side.close()
        raise
    return side, created, alone or upgraded


def _is_older(path: Path) -> bool:
    """Returns whether the store *path* exists, and has an earlier schema version."""
    try:
        return path.exists() and path.stat().st_size > 0 and check_version(path) < VERSION
    except StoreError:
        return False  # `open_or_create` raises an error that explains more


def _upgrade_alone(path: Path, side: RevisionFile) -> int:
    """Upgrades the store *path* while no other process uses it. Returns its version before.

    A server of an earlier version would fail with the new tables. Returns 0 if another process
    makes the upgrade. Raises StoreError if the store stays in use.
    """
    deadline = time.monotonic() + _UPGRADE_TIMEOUT_SECONDS
    while not side.lock_exclusively():
        if not _is_older(path):
            return 0
        if time.monotonic() > deadline:
            raise StoreError(
                f"store {path} is of an earlier version of Headgate, and in use: stop that server,"
                " then start again"
            )
        time.sleep(_POLL_SECONDS)
    return open_or_create(path, create=False)[1]


def _share(path: Path, side: RevisionFile) -> None:
    if not side.lock_shared():
        raise StoreError(
            f"store {path} is held by `headgate store restore` or `accept-rollback`:"
            " start again when that command has ended"
        )


@contextmanager
def exclusive_access(path: Path) -> Iterator[RevisionFile]:
    """Returns a context in which only this process can use the store *path*.

    The context yields the locked side file `<store>.lock`, which is created if missing.

    Raises StoreError if the store is in use, and OSError if the side file cannot be opened.
    """
    with closing(RevisionFile(path)) as side:
        if not side.lock_exclusively():
            raise StoreError(
                f"store {path} is in use: stop the server, and any other program that has it open,"
                " then try again"
            )
        yield side


def check_high_water_mark(path: Path, connection: apsw.Connection, side: RevisionFile) -> None:
    """Raises StoreError if the store lacks changes that it has acknowledged.

    The high-water mark in the side file `<store>.lock` is the newest acknowledged revision.
    """
    # The side file is read before the revision: a commit by another process in between would
    # otherwise look like a store that is behind.
    try:
        epoch: str = connection.execute("SELECT epoch FROM meta").get
        acknowledged = side.acknowledged_revision(epoch)
        revision: int = connection.execute("SELECT rev FROM meta").get
    except apsw.Error as error:
        raise open_error(path, error) from None
    if revision < acknowledged:
        raise StoreError(
            f"store {path} is at revision {revision}, but {acknowledged} was acknowledged:"
            " its -wal file"
            " was cut or removed; put a backup in its place with `headgate store restore`, or go on"
            " without these changes with `headgate store accept-rollback`"
        )


def _upgrade(connection: apsw.Connection, path: Path, version: int) -> None:
    """Upgrades the store from *version* to the current one.

    A copy of the old file stays as `<store>.v<version>`. Raises StoreError or apsw.Error.
    """
    old = path.with_name(f"{path.name}.v{version}")
    try:
        copy(connection, old)
    except StoreError:
        if not old.exists():  # otherwise another process has made the copy, now or earlier
            raise
    # The version is read again under the lock: another process may have upgraded meanwhile.
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for step in range(connection.pragma("user_version"), VERSION):
            connection.execute(MIGRATIONS[step]).fetchall()
        connection.execute(f"PRAGMA user_version = {VERSION}").fetchall()
    connection.execute("COMMIT")


def integrity_errors(connection: apsw.Connection) -> list[str]:
    """Returns the integrity errors that SQLite finds, one sentence each, at most 100 of a kind."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        violations = connection.execute("PRAGMA foreign_key_check").fetchall()
    except apsw.Error as error:
        return [str(error)]
    sentences = [sentence for sentence in found if sentence != "ok"]
    return sentences + [f"a row of {row[0]} references a missing row" for row in violations[:100]]


def _create_if_first(path: Path) -> bool:
    """Creates the store if there never was a store at *path*. Returns whether it was created.

    Raises StoreError if the store has vanished or cannot be created.
    """
    if path.exists():
        return False
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: there is no folder {path.parent}")
    lock = revision_file_path(path)
    if lock.exists():
        if path.exists():
            return False  # another process was first
        raise StoreError(
            f"store {path} is gone, but {lock.name} says that there was one: put a backup in "
            f"its place with `headgate store restore`, or remove {lock.name} to begin anew"
        )
    # Created under a temporary name, so that a killed process leaves no partial store.
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f"{path.name}.new.", dir=path.parent)
        os.close(handle)
        try:
            _write_schema(Path(unfinished))
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
        raise open_error(path, error) from None
    return True


def _write_schema(path: Path) -> None:
    connection = open_file(path)
    try:
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        with connection:
            connection.execute(SCHEMA).fetchall()
    finally:
        connection.close()


def check_version(path: Path) -> int:
    """Returns the schema version of *path*. Raises StoreError if it is not a store."""
    try:
        return _version(path)
    except apsw.Error as error:
        raise open_error(path, error) from None


def check_backup(path: Path) -> None:
    """Raises StoreError if a store cannot be restored from the file *path*."""
    try:
        _version(path, write=False)
    except apsw.Error as error:
        raise backup_error(path, error) from None


def backup_error(path: Path, error: apsw.Error) -> StoreError:
    """Returns the error for a backup *path* that cannot be used.

    `open_error` does not fit: its text advises to restore a backup.
    """
    damaged = isinstance(error, apsw.NotADBError | apsw.CorruptError)
    reason = "it is damaged, or no store at all" if damaged else describe(error) or str(error)
    return StoreError(f"cannot restore from {path}: {reason}")


def _version(path: Path, *, write: bool = True) -> int:
    """Returns the schema version of the store *path*.

    Raises StoreError if the file is not a store, or is from a newer Headgate. Raises apsw.Error if
    the file cannot be read.
    """
    try:
        with closing(open_file(path, write=write)) as connection:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
    except apsw.NotADBError:
        if other := known_format(path):
            raise StoreError(f"{path} is {other}, not a store of Headgate") from None
        raise
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite database, but not a store of Headgate")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise StoreError(
            f"store {path} has schema version {version}; this Headgate knows up to {VERSION}:"
            " a newer Headgate made it, use that one"
        )
    return version
