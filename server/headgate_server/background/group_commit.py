"""Changes on their way into the store: one thread makes them, together those that came together.

What a change costs is above all that the disk is waited for, and that threads wake each other: so
those of one turn of the loop are handed over together.
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
        self._open = 0  # taken on, and not done yet
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self._thread.start()

    async def make(self, job: Job) -> Any:
        """The result of *job*, when it is durable. Raises Overloaded, what it raises, Unavailable,
        Unknown.
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
        """Makes those that wait, for *seconds* at most (None: however long); whether it did."""
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
        """Without ever ending the thread: nobody else makes changes."""
        try:
            self._store.transact_all(jobs)
        except Exception as error:  # a fault of ours: nobody knows how far it came
            report(error, "")
            for job in jobs:
                job.error = job.error or Unknown("a fault of the server")

    def _rest(self) -> list[_Waiting]:
        found: list[_Waiting] = []
        while len(found) < _TOGETHER:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is None:
                self._queue.put(None)  # for the end, after these
                break
            found += one
        return found

    def _tell(self, waiting: list[_Waiting]) -> None:
        def tell() -> None:
            self._open -= len(waiting)
            for _, _, done in waiting:
                if not done.done():  # who has left needs no answer
                    done.set_result(None)

        try:
            waiting[0][1].call_soon_threadsafe(tell)
        except RuntimeError:
            pass  # the loop has ended: nobody waits any more
