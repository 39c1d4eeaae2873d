"""Opens the SQLite file of users for commands that need no server, and prints their errors."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TextIO

from headgate_engine import (
    Account,
    MemoryStore,
    SqliteStore,
    StatementError,
    Store,
    StoreError,
)
from headgate_shell.output.control_characters import escape_controls

PAGE_SIZE = 1000


def guarded(work: Callable[[], int]) -> int:
    """Runs *work* and returns its exit status.

    If *work* raises StoreError, StatementError or ValueError, prints one line and returns 1.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may not fit its encoding
    try:
        return work()
    except (StoreError, StatementError, ValueError) as error:
        print_line(f"headgate: {error}", sys.stderr)
        return 1


def print_line(text: str, file: TextIO | None = None) -> None:
    """Prints *text* on one line of *file*, or of standard output, with controls escaped."""
    print(escape_controls(text), file=file)


def local_address() -> str:
    """Returns the author's address in the audit records of a command on this machine."""
    return f"local, user id {os.getuid()}"


def opened(path: str) -> closing[SqliteStore]:
    """Opens the existing store file *path*. Returns a context manager that closes it at the end.

    Raises StoreError if the file is missing or cannot be used.
    """
    return closing(SqliteStore(path, create=False))


def opened_or_empty(path: str) -> closing[Store]:
    """Opens the store file *path*, or an empty store in memory if the file is missing.

    A plan for the store can be made on it, and an error leaves no new file behind. Returns a
    context manager that closes it. Raises StoreError if the file cannot be used.
    """
    return closing(SqliteStore(path) if os.path.exists(path) else MemoryStore())


def accounts(store: SqliteStore) -> Iterator[Account]:
    """Yields the users of *store* in order of creation, read in pages."""
    after = ""
    while page := store.users(after, PAGE_SIZE):
        yield from page
        after = page[-1].id


def write_private(path: str, content: bytes) -> None:
    """Writes *content* to the new file *path*, which only its owner may read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
        except OSError:
            os.unlink(path)
            raise
    except OSError as error:
        raise ValueError(f"{path}: {os.strerror(error.errno or 0)}") from None
