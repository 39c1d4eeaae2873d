"""Copies, checks and recovers the user store at a location: a SQLite file, or an etcd."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError
from headgate_engine.model.audit import AuditRecord
from headgate_engine.stores.contents import Contents
from headgate_engine.stores.location import StoreOptions, is_url
from headgate_engine.stores.opening import open_log
from headgate_engine.stores.shared.contents import (
    accept_rollback_of_log,
    check_log,
    read_log,
    write_log,
)
from headgate_engine.stores.shared.log import Log
from headgate_engine.stores.sqlite.connection import connect, open_error
from headgate_engine.stores.sqlite.contents import make_store_file, read_contents
from headgate_engine.stores.sqlite.file import check_version, exclusive_access
from headgate_engine.stores.sqlite.restore import accept_rollback


def copy_store(
    source: str,
    to: str,
    source_options: StoreOptions | None = None,
    to_options: StoreOptions | None = None,
    *,
    audit: bool = True,
    served: bool = False,
) -> Contents:
    """Copies the store at *source* to *to*, where there must be none. Returns what was copied.

    Ids, hashes, grants, identities, keys and sessions stay; with *audit*, the audit does, too. A
    store that is being copied to is served by no server before it is complete: an interrupted copy
    can begin again. No server may use *source* meanwhile, unless it is a URL and *served* is True:
    then the copy has what was there at the start.

    Raises:
        StoreError: a store cannot be used, *source* is in use or was changed, or *to* has a store.
    """
    if is_url(source):
        with _log_at(source, source_options) as log:
            contents = read_log(log, audit=audit, unchanged=not served)
    else:
        contents = _read_file(Path(source), audit=audit)
    if is_url(to):
        with _log_at(to, to_options) as log:
            write_log(log, contents)
    else:
        make_store_file(Path(to), contents)
    return contents


def check_shared_store(location: str, options: StoreOptions | None = None) -> list[str]:
    """Returns the faults of the store at the URL *location*, one sentence each; reads all of it.

    Raises StoreError if it cannot be read.
    """
    with _log_at(location, options) as log:
        return check_log(log)


def accept_rollback_at(location: str, options: StoreOptions | None = None) -> int:
    """Makes the store at *location* usable after it went back to an earlier state.

    Returns its revision. Raises StoreError.
    """
    if not is_url(location):
        return accept_rollback(location)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    record = AuditRecord(
        *(0, 0, now, "", f"local, user id {os.getuid()}"),
        *("-- accept-rollback: the store went back, and goes on from here", "ok"),
    )
    with _log_at(location, options) as log:
        return accept_rollback_of_log(log, record)


def _read_file(path: Path, *, audit: bool) -> Contents:
    with _connected(path) as connection:
        return read_contents(connection, audit=audit)


@contextmanager
def _connected(path: Path) -> Iterator[apsw.Connection]:
    """Yields a connection to the store file *path*, which no other process uses meanwhile."""
    if not path.exists():
        raise StoreError(f"there is no store {path}")
    check_version(path)
    try:
        with exclusive_access(path), closing(connect(path)) as connection:
            yield connection
    except apsw.Error as error:
        raise open_error(path, error) from None
    except OSError as error:
        raise StoreError(f"cannot open store {path}: {error.strerror}") from None


@contextmanager
def _log_at(location: str, options: StoreOptions | None) -> Iterator[Log]:
    """Yields the log at the URL *location*, and closes it. Names the URL in each StoreError."""
    log = open_log(location, options or StoreOptions())
    try:
        yield log
    except StoreError as error:
        raise StoreError(f"store {location}: {error}") from None
    finally:
        log.close()
