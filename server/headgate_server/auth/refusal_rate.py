"""Delays responses to throttled logins, so that a flood of logins cannot use up the CPU."""

import time
from collections.abc import Callable


class RefusalRateLimiter:
    """Limits the rate of responses to throttled logins: the server sends *rate* per second.

    Further responses wait, for at most *max_delay* seconds. Each connection waits for its response
    before its next attempt. So a flood of attempts slows down, and leaves CPU time to other
    requests.
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
        """Returns how many seconds the next response has to wait, and reserves that time for it."""
        now = self._clock()
        turn = min(max(self._next, now), now + self._max_delay)
        self._next = turn + self._interval
        return turn - now
