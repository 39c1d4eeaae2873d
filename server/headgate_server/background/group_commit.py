"""Group commit: one thread makes all changes of the store, concurrent ones together.

A change costs mostly the wait for the disk, and the threads' waking each other. Changes of one loop
iteration are therefore passed to the thread together.
"""

import asyncio
import threading
from queue import Empty, SimpleQueue
from typing import Any

from headgate_engine import Job, SqliteStore, Unknown
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.logging import report

_MOST = 1024  # waiting
_TOGETHER = 64

_Waiting = tuple[Job, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Changes:
    """Makes changes in *store* for tasks that wait for them."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._turn: list[_Waiting] = []
        self._open = 0  # accepted and not yet done
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self._thread.start()

    async def make(self, job: Job) -> Any:
        """Returns the result of *job* once it is durable.

        Raises Overloaded, Unavailable, Unknown, and what *job* raises.
        """
        if self._open >= _MOST:
            raise Overloaded
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._turn:
            loop.call_soon(self._hand_over)
        self._turn.append((job, loop, done))
        self._open += 1
        await done
        if job.error is not None:
            raise job.error
        return job.result

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        self._queue.put(turn)

    def close(self, seconds: float | None) -> bool:
        """Makes the waiting changes, for at most *seconds* (None: no limit). Blocks.

        Returns whether all are done.
        """
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        going = True
        while going:
            first = self._queue.get()
            waiting = [] if first is None else [*first, *self._rest()]
            going = first is not None
            for start in range(0, len(waiting), _TOGETHER):
                some = waiting[start : start + _TOGETHER]
                self._make([job for job, _, _ in some])
                self._tell(some)

    def _make(self, jobs: list[Job]) -> None:
        """Makes the changes of *jobs*. Never raises: no other thread makes changes."""
        try:
            self._store.transact_all(jobs)
        except Exception as error:  # an internal error: the outcome is unknown
            report(error, "")
            for job in jobs:
                job.error = job.error or Unknown("an internal error")

    def _rest(self) -> list[_Waiting]:
        found: list[_Waiting] = []
        while len(found) < _TOGETHER:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is None:
                self._queue.put(None)  # ends the thread after these
                break
            found += one
        return found

    def _tell(self, waiting: list[_Waiting]) -> None:
        def tell() -> None:
            self._open -= len(waiting)
            for _, _, done in waiting:
                if not done.done():  # it may be cancelled
                    done.set_result(None)

        try:
            waiting[0][1].call_soon_threadsafe(tell)
        except RuntimeError:
            pass  # the loop has ended, and its tasks with it
