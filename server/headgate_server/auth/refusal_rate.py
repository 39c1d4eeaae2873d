"""A rate limit for 429 responses, so that a flood of failed logins cannot use up the CPU."""

import time
from collections.abc import Callable


class RefusalRateLimiter:
    """Allows *rate* responses a second. Further responses wait, for at most *max_delay* seconds.

    Each connection waits for its response before its next attempt. A flood of attempts is therefore
    slowed down, and leaves CPU time to other requests.
    """

    def __init__(
        self,
        rate: float = 200.0,
        max_delay: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / rate
        self._max_delay = max_delay
        self._clock = clock
        self._next = 0.0

    def delay(self) -> float:
        """Returns how long the next response has to wait, in seconds."""
        now = self._clock()
        turn = min(max(self._next, now), now + self._max_delay)
        self._next = turn + self._interval
        return turn - now
