"""What the commands on a store file share."""

import sys
from collections.abc import Callable
from contextlib import closing

from headgate_engine import SqliteStore, StatementError, StoreError

PAGE_SIZE = 1000


def guarded(work: Callable[[], int]) -> int:
    """Returns the exit status of *work*: 1, after one line on standard error, if it fails."""
    try:
        return work()
    except (StoreError, StatementError, ValueError) as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1


def opened(path: str) -> closing[SqliteStore]:
    """Opens an existing store; a mistyped path must not create one. Raises StoreError."""
    return closing(SqliteStore(path, create=False))
