"""The networks from which each user has logged in, stored in SQLite so that a restart keeps them.

A client in such a network is known. Logins of known clients have a queue of their own, so that
floods of failed logins from other networks do not delay them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from headgate_engine import (
    KnownLogin,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    User,
    password_version,
)
from headgate_grammar import GenerationalCache
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.http.client_network import network_of
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.logging import log_task_error

_MAX_ENTRIES = 100_000
_FLUSH_SECONDS = 1.0
# How often the stored logins of other workers are read, and how many of the newest logins.
_SYNC_SECONDS = 2.0
_SYNC_ENTRIES = 1_000
_MERGE_ENTRIES = 5_000

T = TypeVar("T")
LogError = Callable[[str], None]


def _no_op(text: str) -> None:
    """Stands in for `log_error` if the caller passes none: logs no error."""


class KnownLogins:
    """The networks from which users have logged in: at most 100,000 pairs.

    A pair is a network and a `password_version`, which stands for a user with a certain password.
    New pairs are written to *store*, the user store, once a second: a crash loses the pairs of the
    last second. `start` begins to read stored pairs. This object reads and writes in its own
    thread, so that the event loop never waits. Call the methods in the event loop's thread.
    """

    def __init__(self, store: Store, log_error: LogError = _no_op) -> None:
        self._store = store
        self._log_error = log_error
        self._known: GenerationalCache[tuple[str, str], bool] = GenerationalCache(_MAX_ENTRIES)
        self._unsaved: dict[tuple[str, str], KnownLogin] = {}
        self._writing: dict[tuple[str, str], KnownLogin] = {}  # until the store has them
        self._is_closed = False
        self._pool = FairThreadPool(1, 2)
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Reads all stored pairs. From then on, reads the newest stored pairs every 2 seconds.

        These may be pairs that other workers have stored.
        """
        self._read(_MAX_ENTRIES)

    def is_known_client(self, version: str, address: str) -> bool:
        """Returns whether a user has logged in from the network of *address*.

        *version* is that user's `password_version`, which identifies the user.
        """
        return self._known.get((version, network_of(address))) is not None

    def remember_client(self, user: User, address: str) -> None:
        """Records that *user* logged in from the network of *address*."""
        network = network_of(address)
        key = password_version(user), network
        self._known.put(key, True)
        self._unsaved[key] = KnownLogin(user.id, network, key[0], int(time.time()))
        if "write" not in self._timers:
            self._schedule("write", _FLUSH_SECONDS, self._write)

    def _schedule(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        def now() -> None:
            del self._timers[name]
            do()

        self._timers[name] = asyncio.get_running_loop().call_later(seconds, now)

    def _write(self) -> None:
        self._writing, self._unsaved = self._unsaved, {}
        write = partial(self._store.remember_logins, list(self._writing.values()))
        self._in_thread(write, lambda _: self._writing.clear())

    def _read(self, limit: int) -> None:
        self._in_thread(lambda: self._store.known_logins(limit), self._merge)
        self._schedule("read", _SYNC_SECONDS, lambda: self._read(_SYNC_ENTRIES))

    def _merge(self, known: Sequence[KnownLogin]) -> None:
        # The oldest pairs first, 5,000 at a time: the event loop answers requests in between.
        for one in known[-_MERGE_ENTRIES:][::-1]:
            self._known.put((one.password_version, one.network), True)
        if rest := known[:-_MERGE_ENTRIES]:
            asyncio.get_running_loop().call_soon(self._merge, rest)

    def _in_thread(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        async def run() -> None:
            if self._is_closed:
                return
            try:
                then(await self._pool.run(work))
            except (StoreUnavailable, OutcomeUnknown, Overloaded) as error:
                self._log_error(f"known logins cannot be read or written: {error}")

        self._task = asyncio.ensure_future(run())
        self._task.add_done_callback(log_task_error)

    def close(self) -> None:
        """Stops reading, and writes the pairs that are not yet stored. Blocks during the write."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._pool.close(0)
        try:
            self._store.remember_logins(list((self._writing | self._unsaved).values()))
        except (StoreUnavailable, OutcomeUnknown) as error:
            self._log_error(f"known logins cannot be written: {error}")
