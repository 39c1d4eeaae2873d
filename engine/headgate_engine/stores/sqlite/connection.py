"""Opens connections to the SQLite file of a user store, and describes SQLite's errors."""

import os
import time
from functools import cache
from pathlib import Path
from types import TracebackType

import apsw

from headgate_engine.errors import StoreError, StoreUnavailable

_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""
_BUSY_MILLISECONDS = 5000
_INTERRUPT_POLL_SECONDS = 0.001


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Returns a connection to the existing store *path*. Raises StoreError."""
    try:
        connection = open_file(path)
        connection.execute(_PRAGMAS).fetchall()
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except apsw.Error as error:
        raise open_error(path, error) from None
    return connection


def open_file(path: Path, *, write: bool = True) -> apsw.Connection:
    """Returns a connection to the existing file *path*. Raises apsw.Error.

    The connection is read-only unless *write* is True. SQLite's pragmas keep their defaults.
    """
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    return connection


def close(connection: apsw.Connection) -> None:
    """Closes *connection*, and interrupts a read that another thread runs on it.

    apsw rejects closing a connection while a call of another thread runs. An interrupted call
    raises apsw.InterruptError, and each later one apsw.ConnectionClosedError.
    """
    while True:
        try:
            connection.close()
        except apsw.ThreadingViolationError:
            connection.interrupt()
            time.sleep(_INTERRUPT_POLL_SECONDS)
        else:
            return


def describe(error: apsw.Error) -> str:
    """Returns a plain description of *error*, or "" if SQLite's own text suffices."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return "its file is damaged"
        case apsw.CantOpenError() | apsw.PermissionsError():
            return "its file cannot be opened"
        case apsw.ReadOnlyError():
            return "its file cannot be written to"
        case apsw.FullError():
            return "the disk is full"
        case apsw.IOError():
            return "its disk reports an I/O error"
        case apsw.BusyError() | apsw.LockedError():
            return "another program keeps it locked"
        case _:
            return ""


def open_error(path: Path, error: apsw.Error) -> StoreError:
    """Returns the error for a store *path* that cannot be opened: the reason and the remedy."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            reason = (
                "it is damaged, or no store at all:"
                " put a backup in its place with `headgate store restore`"
            )
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            reason = f"user id {os.getuid()} may not write to it or to its folder"
        case apsw.FullError():
            reason = "the disk is full: make room and start again"
        case _:
            reason = describe(error) or str(error)
    return StoreError(f"cannot open store {path}: {reason}")


class _Refusing:
    """The context that `refusing` returns. It has no state, so that one object serves all."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, StoreError | OSError | apsw.Error):
            raise unavailable(self._step, error) from None


@cache
def refusing(step: str) -> _Refusing:
    """Returns a context that turns StoreError, OSError and apsw.Error into StoreUnavailable.

    The text of the StoreUnavailable names *step*, a verb such as `read`. The context is cached.
    """
    return _Refusing(step)


def unavailable(step: str, error: Exception) -> StoreUnavailable:
    """Returns the StoreUnavailable for *step*, a verb such as `read`, which failed with *error*."""
    if isinstance(error, apsw.Error):
        return StoreUnavailable(f"cannot {step}: {reason(error)}")
    return StoreUnavailable(f"cannot {step}: its file cannot be opened")


def reason(error: apsw.Error) -> str:
    """Returns why SQLite failed, in words that a client may read.

    SQLite's own text may name tables, which clients must not see.
    """
    return describe(error) or type(error).__name__.removesuffix("Error").lower()
