"""A thread pool with a bounded queue, in which the users of waiting calls take turns."""

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
_NO_GROUP = object()


class Run(Protocol):
    """Runs a function in another thread, and returns its result."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Returns the result of *work*."""
        ...


class KeyedRun(Protocol):
    """Runs a function in another thread, and returns its result.

    A call has a key, which identifies its user. The keys of waiting calls take turns.
    """

    async def __call__(self, work: Callable[[], T], key: Key, /) -> T:
        """Returns the result of *work*."""
        ...


def _no_op(change: int) -> None:
    """Does nothing: the default of `on_change`."""


@dataclass(slots=True, eq=False)
class _Task:
    future: "Future[Any]"
    work: Callable[[], Any]
    key: Key

    @property
    def group(self) -> Hashable:
        return self.key[:1]


class FairThreadPool:
    """Runs calls in *threads* threads. If *queue* calls wait, a further call is rejected at once.

    The first part of a call's key is its group. Groups take turns, and in each group its keys take
    turns: a key with many waiting calls does not delay other keys.

    - At most *max_queued_per_group* calls of a group wait.
    - At most *max_queued_per_key* calls of a key wait.
    - At most *max_running_per_group* calls of a group run at the same time.

    *on_change* receives each change of the number of unfinished calls: 1 when a call is submitted,
    -1 when a call is done.
    A call never runs if its future is cancelled while it waits.

    If the queue is full, a call whose key has no waiting calls may replace a waiting call of its
    group. The same holds if *max_queued_per_group* calls of the group wait. The replaced call is
    the newest call of the key with the most waiting calls, which must be at least two. Its future
    ends with Overloaded.
    """

    def __init__(
        self,
        threads: int,
        queue: int,
        on_change: Callable[[int], None] = _no_op,
        *,
        max_queued_per_group: int | None = None,
        max_queued_per_key: int | None = None,
        max_running_per_group: int | None = None,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._free, self._queue = threads, queue
        self._max_queued_per_group, self._max_queued_per_key, self._max_running_per_group = (
            max_queued_per_group or queue,
            max_queued_per_key or queue,
            max_running_per_group or threads,
        )
        self._on_change = on_change
        self._lock = threading.Lock()
        self._queued: OrderedDict[Hashable, OrderedDict[Key, deque[_Task]]] = OrderedDict()
        self._queued_count: Counter[Hashable] = Counter()
        self._running: Counter[Hashable] = Counter()
        self._futures: set[Future[Any]] = set()

    async def run(self, work: Callable[[], T], key: Key = ()) -> T:
        """Runs *work* in a thread of the pool and returns its result.

        *key* identifies the user of the call: waiting keys take turns. Raises Overloaded if too
        many calls wait, in all or for *key*. Raises what *work* raises.
        """
        return await asyncio.wrap_future(self.submit(work, key))

    def submit(self, work: Callable[[], T], key: Key = ()) -> "Future[T]":
        """Starts *work*, or queues it until the turn of *key*, and returns its future.

        Raises Overloaded if too many calls wait, in all, in the group or for *key*.
        """
        task = _Task(Future(), work, key)
        evicted: _Task | None = None
        with self._lock:
            begin = self._free > 0 and self._running[task.group] < self._max_running_per_group
            if begin:
                self._free -= 1
                self._running[task.group] += 1
            else:
                evicted = self._enqueue(task)
            self._futures.add(task.future)
        # Outside the lock: the callbacks of a future may call the pool.
        if evicted is not None and evicted.future.set_running_or_notify_cancel():
            evicted.future.set_exception(Overloaded())
        self._on_change(1)
        task.future.add_done_callback(lambda _: self._on_done(task))
        if begin:
            self._executor.submit(self._run_tasks, task)
        return task.future

    def _enqueue(self, task: _Task) -> _Task | None:
        """Adds *task* to the waiting calls. Returns the call that it replaces, if any.

        Raises Overloaded if too many calls wait, and *task* may replace none of them.
        """
        keys = self._queued.get(task.group, OrderedDict())
        if len(keys.get(task.key, ())) >= self._max_queued_per_key:
            raise Overloaded
        evicted: _Task | None = None
        if (
            self._queued_count.total() >= self._queue
            or self._queued_count[task.group] >= self._max_queued_per_group
        ):
            longest = max(keys.values(), key=len, default=deque[_Task]())
            if task.key in keys or len(longest) < 2:
                raise Overloaded
            evicted = longest[-1]
            self._dequeue(evicted)
        waiting = self._queued.setdefault(task.group, OrderedDict())
        waiting.setdefault(task.key, deque()).append(task)
        self._queued_count[task.group] += 1
        return evicted

    def _run_tasks(self, first: _Task) -> None:
        """Runs the call of *first*, then waiting calls until no waiting call may run."""
        task: _Task | None = first
        while task is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    result = task.work()
                except BaseException as error:
                    task.future.set_exception(error)
                else:
                    task.future.set_result(result)
            task = self._next_task(task.group)

    def _next_task(self, ended: Hashable) -> _Task | None:
        """Returns the call that the thread runs next, or None if no waiting call may run.

        *ended* is the group of the call that the thread has just finished.
        """
        with self._lock:
            self._running[ended] -= 1
            if not self._running[ended]:
                del self._running[ended]
            ready = (
                one for one in self._queued if self._running[one] < self._max_running_per_group
            )
            if not self._queued or (group := next(ready, _NO_GROUP)) is _NO_GROUP:
                self._free += 1
                return None
            key, tasks = next(iter(self._queued[group].items()))
            task = tasks[0]
            self._dequeue(task)
            if group in self._queued:
                self._queued.move_to_end(group)
            if tasks:
                self._queued[group].move_to_end(key)
            self._running[group] += 1
            return task

    def _dequeue(self, task: _Task) -> None:
        """Removes the call *task* from the waiting calls."""
        keys = self._queued[task.group]
        keys[task.key].remove(task)
        self._queued_count[task.group] -= 1
        if not keys[task.key]:
            del keys[task.key]
        if not keys:
            del self._queued[task.group], self._queued_count[task.group]

    def _on_done(self, task: _Task) -> None:
        with self._lock:
            self._futures.discard(task.future)
            keys: Mapping[Key, Collection[_Task]] = self._queued.get(task.group, {})
            if task.future.cancelled() and task in keys.get(task.key, ()):
                self._dequeue(task)
        self._on_change(-1)

    def close(self, seconds: float = math.inf) -> bool:
        """Waits at most *seconds* for running and waiting calls, and drops calls that still wait.

        Blocks. Returns False if calls are still running after that time.
        """
        timeout = None if seconds == math.inf else seconds
        with self._lock:
            futures = list(self._futures)
        wait(futures, timeout)
        late = [future for future in futures if not future.done() and not future.cancel()]
        self._executor.shutdown(wait=not late, cancel_futures=True)
        return not late
