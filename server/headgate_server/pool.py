"""Threads for what takes its time, with a queue that has an end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from headgate_server.refusals import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """*threads* at work, and at most *queue* calls waiting; one more is refused at once."""

    def __init__(self, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._room = threads + queue

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work(*args)` gives, from another thread. Raises Overloaded, and what it raises."""
        if self._room == 0:
            raise Overloaded
        self._room -= 1
        try:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))
        except BaseException:
            self._room += 1
            raise
        future.add_done_callback(self._leave)
        return await future

    def _leave(self, future: "asyncio.Future[T]") -> None:
        # Room comes back when the thread is free, not when a client stops waiting for it.
        self._room += 1

    def close(self) -> None:
        """Waits for what runs; what only waits is dropped."""
        self._executor.shutdown(cancel_futures=True)
