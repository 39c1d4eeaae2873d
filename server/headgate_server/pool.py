"""Threads for what takes its time, with a queue that has an end and is shared fairly."""

import asyncio
import math
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from headgate_server.refusals import Overloaded

T = TypeVar("T")


class Run(Protocol):
    """Returns the result of a function that another thread calls."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


def _ignore(change: int) -> None:
    """Nothing is counted."""


@dataclass(slots=True, eq=False)
class _Task:
    future: "Future[Any]"
    work: Callable[[], Any]
    key: Hashable


class Pool:
    """*threads* at work, and at most *queue* calls waiting, of each key at most *share* of them;
    one more is refused at once. Keys take turns, however many calls of each wait; at most *at_once*
    calls of a key are made at the same time.

    *count* is called with 1 for each call that comes and -1 for each that is done. A call whose
    future is cancelled while it waits is never made.
    """

    def __init__(
        self,
        threads: int,
        queue: int,
        count: Callable[[int], None] = _ignore,
        *,
        share: int | None = None,
        at_once: int | None = None,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._free, self._queue, self._share = threads, queue, share or queue
        self._at_once = at_once or threads
        self._count = count
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, deque[_Task]] = OrderedDict()
        self._length = 0
        self._running: Counter[Hashable] = Counter()
        self._futures: set[Future[Any]] = set()

    async def run(self, work: Callable[[], T], key: Hashable = "") -> T:
        """Returns what *work* returns in another thread. Raises Overloaded, and what it raises."""
        return await asyncio.wrap_future(self.submit(work, key))

    def submit(self, work: Callable[[], T], key: Hashable = "") -> "Future[T]":
        """Returns the future of *work*, which is begun or waits for the turn of *key*.

        Raises Overloaded.
        """
        task = _Task(Future(), work, key)
        with self._lock:
            begin = self._free > 0 and self._running[key] < self._at_once
            if begin:
                self._free -= 1
                self._running[key] += 1
            elif self._length >= self._queue or len(self._waiting.get(key, ())) >= self._share:
                raise Overloaded
            else:
                self._waiting.setdefault(key, deque()).append(task)
                self._length += 1
            self._futures.add(task.future)
        self._count(1)
        task.future.add_done_callback(lambda _: self._leave(task))
        if begin:
            self._executor.submit(self._work, task)
        return task.future

    def _work(self, first: _Task) -> None:
        """Makes the call of *first*, then those that wait, until there are none."""
        task: _Task | None = first
        while task is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    result = task.work()
                except BaseException as error:
                    task.future.set_exception(error)
                else:
                    task.future.set_result(result)
            task = self._next(task.key)

    def _next(self, ended: Hashable) -> _Task | None:
        """Returns the call whose turn it is, now that one of the key *ended* is over."""
        with self._lock:
            self._running[ended] -= 1
            if not self._running[ended]:
                del self._running[ended]
            ready = (key for key in self._waiting if self._running[key] < self._at_once)
            key = next(ready, None)
            if key is None:
                self._free += 1
                return None
            tasks = self._waiting[key]
            task = tasks.popleft()
            self._length -= 1
            self._running[key] += 1
            if tasks:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            return task

    def _leave(self, task: _Task) -> None:
        with self._lock:
            self._futures.discard(task.future)
            if task.future.cancelled():
                self._remove(task)
        self._count(-1)

    def _remove(self, task: _Task) -> None:
        """Makes room for others if *task* still waits."""
        tasks = self._waiting.get(task.key)
        if tasks is not None and task in tasks:
            tasks.remove(task)
            self._length -= 1
            if not tasks:
                del self._waiting[task.key]

    def close(self, seconds: float = math.inf) -> bool:
        """Waits *seconds* for what runs and what waits, then drops what only waits.

        Returns False if something runs even then.
        """
        timeout = None if seconds == math.inf else seconds
        with self._lock:
            futures = list(self._futures)
        wait(futures, timeout)
        late = [future for future in futures if not future.done() and not future.cancel()]
        self._executor.shutdown(wait=not late, cancel_futures=True)
        return not late
