"""Runs a change that turns out to write nothing, such as CREATE DATABASE of an existing database.

Such a change needs no transaction: it does not wait for the store's writers or the disk.
"""

from collections.abc import Callable
from typing import Any, NoReturn, cast

from headgate_engine.errors import StatementError, StoreUnavailable
from headgate_engine.stores.base import Store, Tx


class _WriteRequired(Exception):
    """The change writes, or reads what only a transaction has."""


class _Reads:
    """The reads of users and databases in *store*. Other methods of `Tx` raise _WriteRequired."""

    def __init__(self, store: Store) -> None:
        self.user, self.database = store.user, store.database

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        return _require_write


def _require_write(*_: object, **__: object) -> NoReturn:
    raise _WriteRequired


def run_as_no_op(change: Callable[[Tx], Any], store: Store) -> bool:
    """Runs *change* if it writes nothing to *store*. Returns False if it has to write.

    Then nothing was done, and the caller runs *change* in a transaction. Returns False also if what
    *change* has read may be unacknowledged: see `Store.is_acknowledged`. Raises what *change*
    raises.
    """
    try:
        error = _error(change, cast(Tx, _Reads(store)))
        complete = store.is_acknowledged()
    except (_WriteRequired, StoreUnavailable):
        return False
    if complete and error is not None:
        raise error
    return complete


def _error(change: Callable[[Tx], Any], tx: Tx) -> StatementError | None:
    """Runs *change* on *tx*, and returns its error or None.

    Raises _WriteRequired, StoreUnavailable.
    """
    try:
        change(tx)
    except StoreUnavailable:
        raise
    except StatementError as error:
        return error
    return None
