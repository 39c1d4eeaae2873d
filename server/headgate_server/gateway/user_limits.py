"""Limits of concurrent requests and request rate per user. Each worker counts on its own."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from headgate_engine import Principal
from headgate_server.gateway.errors import Busy

_MOST_REMEMBERED = 10_000


class Limits:
    """Allows *concurrent* requests of a user at a time, and *rate* requests per second (0: no
    limit), as a token bucket with a burst of one second's requests.
    """

    def __init__(
        self, concurrent: int, rate: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._concurrent, self._rate, self._clock = concurrent, rate, clock
        self._under_way: dict[str, int] = {}
        # By user, the remaining tokens of the bucket, and when they were counted.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def enter(self, principal: Principal) -> Callable[[], None]:
        """Counts a request of *principal*. Returns the function to call at its end. Raises Busy."""
        name = f"{principal.method} {principal.name}"
        if self._rate:
            self._take(name)
        if not self._concurrent:
            return _nothing
        under_way = self._under_way.get(name, 0)
        if under_way >= self._concurrent:
            raise Busy(1)
        self._under_way[name] = under_way + 1
        return lambda: self._leave(name)

    def _take(self, name: str) -> None:
        now = self._clock()
        left, then = self._left.pop(name, (float(self._rate), now))
        left = min(float(self._rate), left + (now - then) * self._rate)
        self._left[name] = max(0.0, left - 1), now
        if len(self._left) > _MOST_REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            self._left[name] = left, now
            raise Busy(math.ceil((1 - left) / self._rate))

    def _leave(self, name: str) -> None:
        left = self._under_way[name] - 1
        if left:
            self._under_way[name] = left
        else:
            del self._under_way[name]


def _nothing() -> None:
    """Does nothing: without a concurrency limit, no request is counted."""
