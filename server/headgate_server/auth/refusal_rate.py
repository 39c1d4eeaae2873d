"""A rate limit for 429 responses, so that a flood of failed logins cannot use up the CPU."""

import time
from collections.abc import Callable


class Pace:
    """Allows *rate* responses a second; further ones wait, for *longest* seconds at most.

    A flood over a number of connections is no faster then, and leaves the CPU to others.
    """

    def __init__(
        self,
        rate: float = 200.0,
        longest: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = 1 / rate
        self._longest = longest
        self._clock = clock
        self._next = 0.0

    def pause(self) -> float:
        """Returns how long the next response has to wait, in seconds."""
        now = self._clock()
        turn = min(max(self._next, now), now + self._longest)
        self._next = turn + self._step
        return turn - now
