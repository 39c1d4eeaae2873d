"""Threads for what takes its time, with a queue that has an end."""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar

from headgate_server.refusals import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


def _ignore(change: int) -> None:
    """Nobody counts."""


class Pool:
    """*threads* at work, and at most *queue* calls waiting; one more is refused at once.

    *count* hears 1 for each call that comes and -1 for each that is done.
    """

    def __init__(self, threads: int, queue: int, count: Callable[[int], None] = _ignore) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._room = threading.Semaphore(threads + queue)
        self._count = count
        self._futures: set[Future[Any]] = set()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work(*args)` gives, from another thread. Raises Overloaded, and what it raises."""
        return await asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """`work(*args)`, begun or waiting. Raises Overloaded."""
        if not self._room.acquire(blocking=False):
            raise Overloaded
        try:
            future = self._executor.submit(work, *args, **kwargs)
        except BaseException:
            self._room.release()
            raise
        self._count(1)
        self._futures.add(future)
        # Room comes back when the thread is free, not when a client stops waiting for it.
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: "Future[T]") -> None:
        self._futures.discard(future)
        self._room.release()
        self._count(-1)

    def close(self, seconds: float = math.inf) -> bool:
        """Waits *seconds* for what runs and what waits, then drops what only waits.

        False if something runs even then.
        """
        timeout = None if seconds == math.inf else seconds
        _, late = wait(list(self._futures), timeout)
        self._executor.shutdown(wait=not late, cancel_futures=True)
        return not late
