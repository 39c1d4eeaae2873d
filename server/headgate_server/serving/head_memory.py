"""Memory for requests' heads that are not complete yet: one budget for all connections.

Such a head costs memory before anything of it can be authenticated.
"""

from typing import Protocol

# So much of its head each connection may hold in any case: most heads are smaller.
FREE_BYTES = 8 << 10
_BUDGET_BYTES = 16 << 20


class Holder(Protocol):
    """A connection that has received a part of a head."""

    def make_room(self) -> None:
        """Ends the request, and lets go of what was received of it."""
        ...


class Heads:
    """Of one worker process: what its connections hold beyond the first 8 KiB each."""

    def __init__(self, budget: int = _BUDGET_BYTES) -> None:
        self._budget = budget
        self._held: dict[Holder, int] = {}  # the one that began first is first
        self._total = 0
        self.any_held = False  # whether any connection holds more than is free

    def hold(self, holder: Holder, size: int) -> None:
        """Notes that *holder* has *size* bytes of an unfinished head.

        If all together are too many, those that have been unfinished the longest are ended: a
        client that sends its head at once is not refused because of others that do not.
        """
        more = size - FREE_BYTES
        if more <= 0:
            self.release(holder)
            return
        self._total += more - self._held.get(holder, 0)
        self._held[holder] = more
        self.any_held = True
        while self._total > self._budget:
            oldest = next(iter(self._held))
            self.release(oldest)
            oldest.make_room()

    def release(self, holder: Holder) -> None:
        """Notes that *holder* has nothing unfinished any more."""
        self._total -= self._held.pop(holder, 0)
        self.any_held = bool(self._held)
