"""Threads for what takes its time, with a queue that has an end."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from headgate_server.refusals import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """*threads* at work, and at most *queue* calls waiting; one more is refused at once."""

    def __init__(self, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._room = threading.Semaphore(threads + queue)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work(*args)` gives, from another thread. Raises Overloaded, and what it raises."""
        if not self._room.acquire(blocking=False):
            raise Overloaded
        try:
            future = self._executor.submit(work, *args, **kwargs)
        except BaseException:
            self._room.release()
            raise
        # Room comes back when the thread is free, not when a client stops waiting for it.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, future: Future[T]) -> None:
        self._room.release()

    def close(self) -> None:
        """Waits for what runs; what only waits is dropped."""
        self._executor.shutdown(cancel_futures=True)
