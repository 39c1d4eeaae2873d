"""A memory budget for incomplete request heads, shared by all connections of a process.

An incomplete head costs memory before any of it can be authenticated.
"""

from typing import Protocol

# Bytes of a head that are not counted for the budget: most heads are smaller.
FREE_BYTES = 8 << 10
_BUDGET_BYTES = 16 << 20


class HeadHolder(Protocol):
    """A connection that has received a part of a request head."""

    def evict_head(self) -> None:
        """Ends the request, and releases the memory of its incomplete head."""
        ...


class HeadBudget:
    """Limits the memory of incomplete heads in one worker process to *budget* bytes.

    The first 8 KiB of each head do not count.
    """

    def __init__(self, budget: int = _BUDGET_BYTES) -> None:
        self._budget = budget
        self._sizes: dict[HeadHolder, int] = {}  # the oldest first
        self._total = 0
        self.any_over_free = False  # whether any connection exceeds FREE_BYTES

    def set_size(self, holder: HeadHolder, size: int) -> None:
        """Records that *holder* has *size* bytes of an incomplete head.

        If the budget is exceeded, ends the requests whose heads have been incomplete the longest.
        So slow clients cannot make Headgate reject a client that sends its head at once.
        """
        more = size - FREE_BYTES
        if more <= 0:
            self.release(holder)
            return
        self._total += more - self._sizes.get(holder, 0)
        self._sizes[holder] = more
        self.any_over_free = True
        while self._total > self._budget:
            oldest = next(iter(self._sizes))
            self.release(oldest)
            oldest.evict_head()

    def release(self, holder: HeadHolder) -> None:
        """Records that *holder* has no incomplete head any more."""
        self._total -= self._sizes.pop(holder, 0)
        self.any_over_free = bool(self._sizes)
