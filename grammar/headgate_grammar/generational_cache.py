"""A cache with a maximum number of entries, which drops entries that were not used recently."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class GenerationalCache(Generic[K, V]):
    """A cache of at most *max_entries* values by key, in a new and an old generation.

    *max_entries* is at least 2. The *max_entries* / 2 entries that were used last are always kept.

    A new generation of *max_entries* / 2 entries is full: at the next entry, it replaces the old
    generation. The old entries are dropped together, which costs less than recording the order of
    use. An entry that is read from the old generation moves to the new generation.

    Unless *max_age_seconds* is 0, an entry expires that many seconds after its last `put`. *clock*
    returns the current time in seconds. Thread-safe: concurrent use may drop entries early.
    """

    def __init__(
        self,
        max_entries: int,
        max_age_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._generation_entries = max(1, max_entries // 2)
        self._max_age_seconds, self._clock = max_age_seconds, clock
        # Each value, and when it was stored (0 without a maximum age).
        self._new: dict[K, tuple[V, float]] = {}
        self._old: dict[K, tuple[V, float]] = {}

    def get(self, key: K) -> V | None:
        """Returns the value under *key*, or None if the entry is missing or has expired."""
        entry = self._new.get(key)
        is_old = entry is None
        if entry is None:
            entry = self._old.get(key)
            if entry is None:
                return None
        if self._max_age_seconds and self._clock() - entry[1] >= self._max_age_seconds:
            self.remove(key)
            return None
        if is_old:
            self._add(key, entry)
        return entry[0]

    def put(self, key: K, value: V) -> None:
        """Stores *value* under *key*, in place of any value that is already there."""
        self._add(key, (value, self._clock() if self._max_age_seconds else 0.0))

    def _add(self, key: K, entry: tuple[V, float]) -> None:
        if len(self._new) >= self._generation_entries and key not in self._new:
            self._old, self._new = self._new, {}
        self._new[key] = entry

    def remove(self, key: K) -> None:
        """Removes the value under *key*, if there is one."""
        self._new.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Removes all entries."""
        self._new, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._new.keys() | self._old.keys())
