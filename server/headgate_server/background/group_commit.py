"""Group commit: one thread makes all changes of the user store, concurrent ones together.

Most of a change's time is the wait for the disk or the network, and the switch between threads.
Changes of one iteration of the event loop are therefore passed to the thread together.
"""

import asyncio
import threading
from queue import Empty, SimpleQueue
from typing import Any

from headgate_engine import OutcomeUnknown, PendingTransaction, Store
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.logging import log_internal_error

_MAX_PENDING_CHANGES = 1024
_MAX_CHANGES_PER_COMMIT = 64

_Pending = tuple[PendingTransaction, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class GroupCommit:
    """Makes the changes of *store*, the user store, in one thread. Tasks await their results."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: SimpleQueue[list[_Pending] | None] = SimpleQueue()
        self._iteration: list[_Pending] = []
        self._pending_count = 0  # accepted and not yet done
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self._thread.start()

    async def commit(self, job: PendingTransaction) -> Any:
        """Makes the change of *job*, and returns its result once the change is durable on the disk.

        Raises Overloaded if too many changes wait, StoreUnavailable or OutcomeUnknown if the store
        fails, and what *job* raises.
        """
        if self._pending_count >= _MAX_PENDING_CHANGES:
            raise Overloaded
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._iteration:
            loop.call_soon(self._enqueue)
        self._iteration.append((job, loop, done))
        self._pending_count += 1
        await done
        if job.error is not None:
            raise job.error
        return job.result

    def _enqueue(self) -> None:
        turn, self._iteration = self._iteration, []
        self._queue.put(turn)

    def close(self, seconds: float | None) -> bool:
        """Waits at most *seconds* (None: no limit) until the accepted changes are made. Blocks.

        Returns whether all of them are made.
        """
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        running = True
        while running:
            first = self._queue.get()
            waiting = [] if first is None else [*first, *self._drain_queue()]
            running = first is not None
            for start in range(0, len(waiting), _MAX_CHANGES_PER_COMMIT):
                batch = waiting[start : start + _MAX_CHANGES_PER_COMMIT]
                self._commit([job for job, _, _ in batch])
                self._complete(batch)

    def _commit(self, jobs: list[PendingTransaction]) -> None:
        """Makes the changes of *jobs*. Stores an internal error in each of them.

        An error that is raised would end the only thread.
        """
        try:
            self._store.transact_all(jobs)
        except Exception as error:  # an internal error: the outcome is unknown
            log_internal_error(error, "")
            for job in jobs:
                job.error = job.error or OutcomeUnknown("an internal error")

    def _drain_queue(self) -> list[_Pending]:
        found: list[_Pending] = []
        while len(found) < _MAX_CHANGES_PER_COMMIT:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is None:
                self._queue.put(None)  # ends the thread after the changes found
                break
            found += one
        return found

    def _complete(self, waiting: list[_Pending]) -> None:
        def complete() -> None:
            self._pending_count -= len(waiting)
            for _, _, done in waiting:
                if not done.done():  # it may be cancelled
                    done.set_result(None)

        try:
            waiting[0][1].call_soon_threadsafe(complete)
        except RuntimeError:
            pass  # the loop has ended, and its tasks with it
