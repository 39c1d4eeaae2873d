"""Several stores of one log as one store: each call goes to the next of them."""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any, cast

from headgate_engine import Store
from headgate_engine.stores.shared.log import Log
from headgate_engine.stores.shared.store import SharedStore, create_store


class AlternatingStores:
    """Passes each call to the next of *stores*, after it has all changes of the others."""

    def __init__(self, stores: Iterable[SharedStore]) -> None:
        self._stores = tuple(stores)
        self._turns = cycle(self._stores)

    def __getattr__(self, name: str) -> Any:
        store = next(self._turns)
        if name in ("snapshot", "remember_logins", "known_logins"):  # these are of one process
            store = self._stores[0]
        store.follower.prove()
        return getattr(store, name)

    def close(self) -> None:
        for store in self._stores:
            store.close()


def shared(log: Callable[[], Log], size: int = 1) -> Store:
    """Returns a new empty store, which is *size* stores of the logs that *log* returns."""
    first = log()
    assert create_store(first)
    if size == 1:
        return SharedStore(first)
    others = (log() for _ in range(size - 1))
    return cast(Store, AlternatingStores(map(SharedStore, (first, *others))))
