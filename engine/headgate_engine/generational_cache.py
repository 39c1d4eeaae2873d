"""A bounded cache by key, which drops entries that were not read recently."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class GenerationalCache(Generic[K, V]):
    """At most *max_entries* values by key, in two generations.

    When the new generation holds half of *max_entries*, the old generation is dropped as a whole.
    This costs less than recording the order of use. An entry that is read from the old generation
    moves to the new generation.
    """

    def __init__(self, max_entries: int) -> None:
        self._generation_entries = max_entries // 2
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Returns the value under *key*, or None."""
        found = self._new.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """Stores *value* under *key*."""
        if len(self._new) >= self._generation_entries:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def clear(self) -> None:
        """Removes all entries."""
        self._new, self._old = {}, {}
