"""Refuses passwords of a name after a number of wrong ones, as Grafana's protection does."""

import asyncio
import hashlib
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
        # By a digest of the name: clients choose how long names are.
        self._ended: GenerationalCache[bytes, _Tries] = GenerationalCache(
            _MAX_NAMES, _WINDOW_SECONDS, clock
        )
        self._running: dict[bytes, _Tries] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._most > 0

    def is_refused(self, name: str) -> bool:
        """Returns whether passwords of *name* are refused now."""
        if not self._most:
            return False
        tries = self._tries(_key(name))
        return tries is not None and self._wait(tries) > 0

    def _tries(self, key: bytes) -> _Tries | None:
        return self._running.get(key) or self._ended.get(key)

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
        key = _key(name)
        tries = self._tries(key) or _Tries()
        self._running[key] = tries
        try:
            await self._turn(tries)
        except BaseException:
            self._keep(key, tries)
            raise
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
            self._keep(key, tries)

    def _keep(self, key: bytes, tries: _Tries) -> None:
        """Keeps *tries* while some run or wait, then those that were wrong for a while."""
        if tries.running or tries.waiting:
            return
        self._running.pop(key, None)
        if tries.wrong:
            self._ended.put(key, tries)
        else:
            self._ended.remove(key)

    async def _turn(self, tries: _Tries) -> None:
        """Returns as soon as one more wrong one of *tries* would not exceed the limit."""
        while True:
            if seconds := self._wait(tries):
                raise TooManyFailures(seconds)
            if len(tries.wrong) + tries.running < self._most:
                return
            if tries.waiting >= _MAX_WAITING:
                raise Overloaded
            tries.waiting += 1
            try:
                await tries.ended.wait()
            finally:
                tries.waiting -= 1

    def _wait(self, tries: _Tries) -> int:
        """Returns for how many seconds *tries* has the limit of wrong ones; 0 if it has fewer."""
        now = self._clock()
        while tries.wrong and tries.wrong[0] <= now - _WINDOW_SECONDS:
            tries.wrong.popleft()
        if len(tries.wrong) < self._most:
            return 0
        oldest = tries.wrong[len(tries.wrong) - self._most]
        return max(1, int(oldest + _WINDOW_SECONDS - now))


def _key(name: str) -> bytes:
    folded = name.casefold().encode("utf-8", "surrogatepass")
    return hashlib.blake2b(folded, digest_size=16).digest()
