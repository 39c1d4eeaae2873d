"""Refuses passwords of a name after a number of wrong ones, as Grafana's protection does."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from headgate_engine import AuthenticationFailed
from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import TooManyFailures
from headgate_server.http.errors import Overloaded

_WINDOW_SECONDS = 300.0
_MAX_NAMES = 10_000
_MAX_WAITING = 64


@dataclass(slots=True, eq=False)
class _Tries:
    """The tries of one name: the times of wrong ones, the number that run, and that wait."""

    wrong: deque[float] = field(default_factory=deque)
    running: int = 0
    waiting: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class LoginAttempts:
    """Counts wrong passwords by name, in any case of letters. *most* 0: no limit.

    While *most* of them lie within the last 5 minutes, the right password is refused, too. The
    counts are those of this process. One event loop uses an object.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._names: GenerationalCache[str, _Tries] = GenerationalCache(
            _MAX_NAMES, _WINDOW_SECONDS, clock
        )

    @asynccontextmanager
    async def attempt(self, name: str) -> AsyncIterator[None]:
        """Counts the login of *name* in the block as wrong if it raises AuthenticationFailed.

        A right one forgets the wrong ones. *name* may be no user's. A try that could be one too
        many waits until those that run have ended: tries at the same time are no more than *most*.

        Raises TooManyFailures if passwords of *name* are refused now, and Overloaded if too many
        tries wait.
        """
        if not self._most:
            yield
            return
        key = name.casefold()
        tries = await self._turn(key)
        tries.running += 1
        try:
            yield
        except AuthenticationFailed:
            tries.wrong.append(self._clock())
            raise
        else:
            tries.wrong.clear()
        finally:
            tries.running -= 1
            ended, tries.ended = tries.ended, asyncio.Event()
            ended.set()
            if tries.wrong or tries.running or tries.waiting:
                self._names.put(key, tries)
            else:
                self._names.remove(key)

    async def _turn(self, key: str) -> _Tries:
        """Returns the tries of *key* as soon as one more wrong one would not exceed the limit."""
        tries = self._names.get(key)
        if tries is None:
            tries = _Tries()
            self._names.put(key, tries)
        while True:
            self._refuse(tries)
            if len(tries.wrong) + tries.running < self._most:
                return tries
            if tries.waiting >= _MAX_WAITING:
                raise Overloaded
            tries.waiting += 1
            try:
                await tries.ended.wait()
            finally:
                tries.waiting -= 1

    def _refuse(self, tries: _Tries) -> None:
        """Raises TooManyFailures if *tries* has the limit of wrong ones in the last 5 minutes."""
        now = self._clock()
        while tries.wrong and tries.wrong[0] <= now - _WINDOW_SECONDS:
            tries.wrong.popleft()
        if len(tries.wrong) >= self._most:
            oldest = tries.wrong[len(tries.wrong) - self._most]
            raise TooManyFailures(max(1, int(oldest + _WINDOW_SECONDS - now)))
