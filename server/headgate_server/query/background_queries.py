"""Queries that run after their response was sent: those with the parameter `async`."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from headgate_engine import StoreUnavailable
from headgate_grammar import UnparseError
from headgate_server.background.thread_pool import FairThreadPool, Key
from headgate_server.http.errors import Overloaded
from headgate_server.telemetry.access_log import RequestLog
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import log_error, log_internal_error
from headgate_server.upstream.errors import UpstreamError, UpstreamRejected

_GRACE_SECONDS = 10.0  # at shutdown, for statements that run upstream


class BackgroundQueries:
    """Runs queries in *pool* or as tasks of the event loop: at most *max_tasks* tasks.

    Errors are logged, because the client has its response already.
    """

    def __init__(self, pool: FairThreadPool, max_tasks: int) -> None:
        self._pool, self._max_tasks = pool, max_tasks
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, results: Iterable[object], log: RequestLog, key: Key) -> None:
        """Iterates over *results* in the thread pool, and discards the results.

        The iteration executes the statements. *key* identifies the user, as in `FairThreadPool`.
        Raises Overloaded if too many calls wait.
        """

        def finish() -> None:
            try:
                deque(results, maxlen=0)
            except Exception as error:
                log_internal_error(error, log.id)
            else:
                if log.error:
                    log_error("asynchronous query failed", request_id=log.id, error=log.error)

        self._pool.submit(finish, key)

    def submit_async(
        self,
        work: Coroutine[Any, Any, None],
        log: RequestLog,
        on_done: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Runs *work* as a task of the event loop, and calls the functions *on_done* at its end.

        If too many tasks run, calls *on_done* and raises Overloaded.
        """
        if len(self._tasks) >= self._max_tasks:
            work.close()
            for callback in on_done:
                callback()
            raise Overloaded

        async def finish() -> None:
            try:
                await work
            except (
                UpstreamError,
                UpstreamRejected,
                UnparseError,
                Overloaded,
                StoreUnavailable,
            ) as error:
                log.error = log_message(error)
            except Exception as error:
                log_internal_error(error, log.id)
            finally:
                for callback in on_done:
                    callback()
            if log.error:
                log_error("asynchronous query failed", request_id=log.id, error=log.error)

        task = asyncio.ensure_future(finish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Waits up to 10 s for the tasks, then cancels them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
