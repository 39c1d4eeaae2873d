"""A thread pool with a bounded and fair queue."""

import asyncio
import math
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from headgate_server.http.errors import Overloaded

T = TypeVar("T")

Key = tuple[Hashable, ...]
_NONE = object()


class Run(Protocol):
    """Runs a function in another thread, and returns its result."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class KeyedRun(Protocol):
    """Returns the result of a function that another thread calls. Users with different keys share
    the threads fairly.
    """

    async def __call__(self, work: Callable[[], T], key: Key, /) -> T: ...


def _ignore(change: int) -> None:
    """Does nothing: the default of *count*."""


@dataclass(slots=True, eq=False)
class _Task:
    future: "Future[Any]"
    work: Callable[[], Any]
    key: Key

    @property
    def group(self) -> Hashable:
        return self.key[:1]


class Pool:
    """Runs calls in *threads* threads. At most *queue* calls wait; one more is rejected at once.

    The first part of a call's key is its group. Groups take turns, and in a group its keys, however
    many calls of each wait. At most *share* calls of a group and *each* of a key wait. At most
    *at_once* of a group run at the same time.

    *count* is called with 1 for each call that is submitted and -1 for each that is done. A call
    never runs if its future is cancelled while it waits.

    If the queue or the share of a group is full, a call of a key without waiting calls replaces
    another in the group: the newest call of the key with the most calls waiting, at least two. The
    future of that call ends with Overloaded.
    """

    def __init__(
        self,
        threads: int,
        queue: int,
        count: Callable[[int], None] = _ignore,
        *,
        share: int | None = None,
        each: int | None = None,
        at_once: int | None = None,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._free, self._queue = threads, queue
        self._share, self._each, self._at_once = share or queue, each or queue, at_once or threads
        self._count = count
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, OrderedDict[Key, deque[_Task]]] = OrderedDict()
        self._lengths: Counter[Hashable] = Counter()
        self._running: Counter[Hashable] = Counter()
        self._futures: set[Future[Any]] = set()

    async def run(self, work: Callable[[], T], key: Key = ()) -> T:
        """Returns the result of *work*, run in another thread. Raises Overloaded, and what *work*
        raises.
        """
        return await asyncio.wrap_future(self.submit(work, key))

    def submit(self, work: Callable[[], T], key: Key = ()) -> "Future[T]":
        """Returns the future of *work*, which starts, or waits for the turn of *key*.

        Raises Overloaded.
        """
        task = _Task(Future(), work, key)
        evicted: _Task | None = None
        with self._lock:
            begin = self._free > 0 and self._running[task.group] < self._at_once
            if begin:
                self._free -= 1
                self._running[task.group] += 1
            else:
                evicted = self._wait(task)
            self._futures.add(task.future)
        # Outside the lock: the callbacks of a future may call the pool.
        if evicted is not None and evicted.future.set_running_or_notify_cancel():
            evicted.future.set_exception(Overloaded())
        self._count(1)
        task.future.add_done_callback(lambda _: self._leave(task))
        if begin:
            self._executor.submit(self._work, task)
        return task.future

    def _wait(self, task: _Task) -> _Task | None:
        """Adds *task* to the waiting calls. Returns the call that it replaces, if any.

        Raises Overloaded.
        """
        keys = self._waiting.get(task.group, OrderedDict())
        if len(keys.get(task.key, ())) >= self._each:
            raise Overloaded
        evicted: _Task | None = None
        if self._lengths.total() >= self._queue or self._lengths[task.group] >= self._share:
            longest = max(keys.values(), key=len, default=deque[_Task]())
            if task.key in keys or len(longest) < 2:
                raise Overloaded
            evicted = longest[-1]
            self._take(evicted)
        waiting = self._waiting.setdefault(task.group, OrderedDict())
        waiting.setdefault(task.key, deque()).append(task)
        self._lengths[task.group] += 1
        return evicted

    def _work(self, first: _Task) -> None:
        """Runs the call of *first*, then waiting calls until there are none."""
        task: _Task | None = first
        while task is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    result = task.work()
                except BaseException as error:
                    task.future.set_exception(error)
                else:
                    task.future.set_result(result)
            task = self._next(task.group)

    def _next(self, ended: Hashable) -> _Task | None:
        """Returns the next call by turns, after one of the group *ended* is done; else None."""
        with self._lock:
            self._running[ended] -= 1
            if not self._running[ended]:
                del self._running[ended]
            ready = (one for one in self._waiting if self._running[one] < self._at_once)
            if not self._waiting or (group := next(ready, _NONE)) is _NONE:
                self._free += 1
                return None
            key, tasks = next(iter(self._waiting[group].items()))
            task = tasks[0]
            self._take(task)
            if group in self._waiting:
                self._waiting.move_to_end(group)
            if tasks:
                self._waiting[group].move_to_end(key)
            self._running[group] += 1
            return task

    def _take(self, task: _Task) -> None:
        """Removes *task* from the waiting calls."""
        keys = self._waiting[task.group]
        keys[task.key].remove(task)
        self._lengths[task.group] -= 1
        if not keys[task.key]:
            del keys[task.key]
        if not keys:
            del self._waiting[task.group], self._lengths[task.group]

    def _leave(self, task: _Task) -> None:
        with self._lock:
            self._futures.discard(task.future)
            keys: Mapping[Key, Collection[_Task]] = self._waiting.get(task.group, {})
            if task.future.cancelled() and task in keys.get(task.key, ()):
                self._take(task)
        self._count(-1)

    def close(self, seconds: float = math.inf) -> bool:
        """Waits at most *seconds* for running and waiting calls, then drops the waiting ones.
        Blocks.

        Returns False if calls are still running then.
        """
        timeout = None if seconds == math.inf else seconds
        with self._lock:
            futures = list(self._futures)
        wait(futures, timeout)
        late = [future for future in futures if not future.done() and not future.cancel()]
        self._executor.shutdown(wait=not late, cancel_futures=True)
        return not late
