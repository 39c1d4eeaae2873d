"""Limits the concurrent requests and the request rate of each user, per worker process."""

import math
import time
from collections.abc import Callable

from headgate_engine import Principal
from headgate_grammar import GenerationalCache
from headgate_server.gateway.errors import UserLimitExceeded

_MAX_BUCKETS = 10_000


class UserLimits:
    """Limits each user to *concurrent* requests at a time and *rate* requests per second.

    0 means no limit. The rate is limited by a token bucket: after a pause, a user may send *rate*
    requests without a delay between them.
    """

    def __init__(
        self, concurrent: int, rate: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._concurrent, self._rate, self._clock = concurrent, rate, clock
        self._in_flight: dict[str, int] = {}
        # By user, the remaining tokens of the bucket, and when they were counted.
        self._buckets: GenerationalCache[str, tuple[float, float]] = GenerationalCache(_MAX_BUCKETS)

    def acquire(self, principal: Principal) -> Callable[[], None]:
        """Counts a request of *principal*. Returns the function to call when the request ends.

        Raises UserLimitExceeded if the user exceeds a limit.
        """
        name = f"{principal.method} {principal.name}"
        if self._rate:
            self._take_token(name)
        if not self._concurrent:
            return _release_nothing
        in_flight = self._in_flight.get(name, 0)
        if in_flight >= self._concurrent:
            raise UserLimitExceeded(1)
        self._in_flight[name] = in_flight + 1
        return lambda: self._release(name)

    def _take_token(self, name: str) -> None:
        now = self._clock()
        tokens, then = self._buckets.get(name) or (float(self._rate), now)
        tokens = min(float(self._rate), tokens + (now - then) * self._rate)
        self._buckets.put(name, (tokens - 1 if tokens >= 1 else tokens, now))
        if tokens < 1:
            raise UserLimitExceeded(math.ceil((1 - tokens) / self._rate))

    def _release(self, name: str) -> None:
        remaining = self._in_flight[name] - 1
        if remaining:
            self._in_flight[name] = remaining
        else:
            del self._in_flight[name]


def _release_nothing() -> None:
    """Does nothing: without a concurrency limit, no request is counted."""
