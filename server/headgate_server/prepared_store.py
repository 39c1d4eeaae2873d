"""The user store between the start's checks and the server that uses it."""

from dataclasses import dataclass

from headgate_engine import ForwardingObserver, Store


@dataclass
class PreparedStore:
    """The open user store *store*, whose *observer* has no metrics yet.

    A server that uses it sets *is_taken*: then it closes the store itself.
    """

    store: Store
    observer: ForwardingObserver
    is_taken: bool = False

    def close(self) -> None:
        """Closes the store, unless a server has taken it."""
        if not self.is_taken:
            self.store.close()
