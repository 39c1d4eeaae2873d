"""Opens the user store for commands that need no server, and prints their errors."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TextIO

from headgate.configured_engine import load_settings
from headgate_engine import (
    Account,
    MemoryStore,
    StatementError,
    Store,
    StoreError,
    is_url,
    open_store,
)
from headgate_server import Settings
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


def opened(settings: Settings, *, create: bool = False) -> closing[Store]:
    """Opens the user store of *settings*. Returns a context manager that closes it at the end.

    With *create*, makes a missing file; a store at a URL has to exist. Raises StoreError.
    """
    try:
        store = open_store(settings.store_path, settings.store_options(), create=create)
    except StoreError as error:
        is_default = settings.store_path == Settings().store_path
        if create or not is_default or os.path.exists(settings.store_path):
            raise
        raise StoreError(f"{error}, the default of --store") from None
    return closing(store)


def opened_at(location: str) -> closing[Store]:
    """Opens the existing store at the path or URL *location*.

    How to log in at a URL is read from the environment, as `headgate serve` does. Returns a context
    manager that closes the store. Raises StoreError, and ValueError for an invalid environment.
    """
    if not is_url(location):
        return closing(open_store(location))
    return opened(load_settings(None, store=location))


def opened_or_empty(settings: Settings) -> closing[Store]:
    """Opens the user store of *settings*, or an empty store in memory if its file is missing.

    A plan for the store can be made on it, and an error leaves no new file behind. Returns a
    context manager that closes it. Raises StoreError if the store cannot be used.
    """
    if settings.is_store_shared or os.path.exists(settings.store_path):
        return opened(settings, create=True)
    return closing(MemoryStore())


def accounts(store: Store) -> Iterator[Account]:
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
    except FileExistsError:
        raise ValueError(f"{path}: exists already: name another file, or remove it") from None
    except OSError as error:
        raise ValueError(f"{path}: {os.strerror(error.errno or 0)}") from None


def counted(number: int, noun: str) -> str:
    """Returns *number* and *noun*, with an s unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
