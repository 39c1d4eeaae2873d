"""Opens the SQLite file of users for commands that need no server, and prints their errors."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

from headgate_engine import Account, SqliteStore, StatementError, StoreError

PAGE_SIZE = 1000


def guarded(work: Callable[[], int]) -> int:
    """Runs *work* and returns its exit status.

    If *work* raises StoreError, StatementError or ValueError, prints one line and returns 1.
    """
    try:
        return work()
    except (StoreError, StatementError, ValueError) as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1


def local_address() -> str:
    """Returns the author's address in the audit records of a command on this machine."""
    return f"local, user id {os.getuid()}"


def opened(path: str) -> closing[SqliteStore]:
    """Opens the existing store file *path*. Returns a context manager that closes it at the end.

    Raises StoreError if the file is missing or cannot be used.
    """
    return closing(SqliteStore(path, create=False))


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
        with open(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ValueError(f"{path}: {os.strerror(error.errno or 0)}") from None
