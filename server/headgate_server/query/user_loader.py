"""Reads the users of all SHOW GRANTS statements of a batch of requests with one query."""

from collections.abc import Sequence
from contextlib import suppress

from headgate_engine import Principal, Store, StoreUnavailable
from headgate_grammar import ShowGrants, Statement
from headgate_server.http.eager_batch import checkpoint


class UserLoader:
    """Collects the names of users from all requests of a batch, then reads them with one query.

    The requests of the batch wait for each other at a checkpoint, after which the users are read.
    *store* is the user store. Call `prefetch` in the event loop, in a context `store.snapshot()`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: list[str] = []

    async def prefetch(self, principal: Principal, statements: Sequence[Statement]) -> None:
        """Reads the users in SHOW GRANTS of *statements*, together with those of other requests.

        Does nothing if *principal* has restricted rights: its statements may be denied.
        """
        if not principal.has_full_access:
            return
        names = [one.user for one in statements if isinstance(one, ShowGrants)]
        if not names:
            return
        self._names += names
        await checkpoint()
        wanted, self._names = self._names, []
        if len(wanted) > 1:
            with suppress(StoreUnavailable):  # each query reads again, and raises it then
                self._store.prefetch_users(wanted)
