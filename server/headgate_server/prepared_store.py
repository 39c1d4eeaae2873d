"""The user store between the start's checks and the server that uses it."""

from dataclasses import dataclass

from headgate_engine import ForwardingObserver, Store, StoreObserver


@dataclass
class PreparedStore:
    """The open user store *store*, whose *observer* has no metrics yet. For one server."""

    store: Store
    observer: ForwardingObserver
    _is_taken: bool = False

    def take(self, metrics: StoreObserver) -> Store:
        """Returns the store, which reports to *metrics* from now on. The caller closes it."""
        self.observer.target = metrics
        self._is_taken = True
        return self.store

    def close(self) -> None:
        """Closes the store, unless a server has taken it."""
        if not self._is_taken:
            self.store.close()
