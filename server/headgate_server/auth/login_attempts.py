"""Refuses passwords of a name after a number of wrong ones, as Grafana's protection does."""

import time
from collections import deque
from collections.abc import Callable

from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import TooManyFailures

_WINDOW_SECONDS = 300.0
_MAX_NAMES = 10_000


class LoginAttempts:
    """Counts wrong passwords by name, in any case of letters. *most* 0: no limit.

    While *most* of them lie within the last 5 minutes, the right password is refused, too. The
    counts are those of this process.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._wrong: GenerationalCache[str, deque[float]] = GenerationalCache(
            _MAX_NAMES, _WINDOW_SECONDS, clock
        )

    def check(self, name: str) -> None:
        """Raises TooManyFailures if passwords of *name* are refused now."""
        if not self._most:
            return
        times = self._wrong.get(name.casefold())
        if times is None:
            return
        now = self._clock()
        while times and times[0] <= now - _WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self._most:
            oldest = times[len(times) - self._most]
            raise TooManyFailures(max(1, int(oldest + _WINDOW_SECONDS - now)))

    def count(self, name: str) -> None:
        """Counts a wrong password of *name*, which may be no user's."""
        if self._most:
            times = self._wrong.get(name.casefold()) or deque(maxlen=self._most)
            times.append(self._clock())
            self._wrong.put(name.casefold(), times)

    def clear(self, name: str) -> None:
        """Forgets the wrong passwords of *name*, after a right one."""
        if self._most:
            self._wrong.remove(name.casefold())
