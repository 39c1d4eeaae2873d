"""The size of a SQLite user store on its disk."""

from pathlib import Path

from headgate_engine.errors import StoreUnavailable
from headgate_engine.stores.condition import StoreSize


def size_of(path: Path) -> StoreSize:
    """Returns how large the store file *path* is, with its write-ahead log.

    Raises StoreUnavailable.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except OSError as error:
        raise StoreUnavailable(f"cannot read store {path}: {error.strerror}") from None
    return StoreSize(size, size)
