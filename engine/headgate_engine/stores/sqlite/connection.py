"""Connections to a store's file, and what SQLite's errors mean to a person. Knows apsw."""

import os
import time
from pathlib import Path

import apsw

from headgate_engine.errors import StoreError

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
    """A connection to the existing store at *path*. Raises StoreError."""
    try:
        connection = open_file(path)
        connection.execute(_PRAGMAS).fetchall()
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except apsw.Error as error:
        raise refused(path, error) from None
    return connection


def open_file(path: Path, *, write: bool = True) -> apsw.Connection:
    """A connection as SQLite makes it. Raises apsw.Error."""
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    return connection


def close(connection: apsw.Connection) -> None:
    """Closes *connection*, also while another thread reads from it: that read is interrupted.

    apsw refuses to close a connection while a call of another thread runs. An interrupted call
    ends with apsw.InterruptError, and each later one with apsw.ConnectionClosedError.
    """
    while True:
        try:
            connection.close()
        except apsw.ThreadingViolationError:
            connection.interrupt()
            time.sleep(_INTERRUPT_POLL_SECONDS)
        else:
            return


def said(error: apsw.Error) -> str:
    """What *error* means to a person; "" if there is no better word than SQLite's."""
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
            return "its disk fails"
        case apsw.BusyError() | apsw.LockedError():
            return "another program keeps it locked"
        case _:
            return ""


def refused(path: Path, error: apsw.Error) -> StoreError:
    """Why the store at *path* cannot be opened, and what to do."""
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
            reason = said(error) or str(error)
    return StoreError(f"cannot open store {path}: {reason}")
