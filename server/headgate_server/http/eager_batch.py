"""Runs coroutines as a batch, without an asyncio task for a coroutine that never waits.

The server answers all requests of one event loop iteration this way. All coroutines reach their
next `checkpoint` before any of them continues, so that one of them can work for all.
"""

import types
from asyncio import CancelledError
from collections.abc import Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_CHECKPOINT, _NEEDS_TASK = object(), object()
# The identifiers of the threads in which `run_batch` is running.
_threads: set[int] = set()


def in_batch() -> bool:
    """Returns whether the calling coroutine runs in a batch, and therefore has no asyncio task."""
    return get_ident() in _threads


@types.coroutine
def checkpoint() -> Generator[object, None, None]:
    """Pauses the calling coroutine until the other coroutines of its batch have caught up.

    Each of them has then reached its own next checkpoint, has to wait, or has ended. Does nothing
    in an asyncio task.
    """
    if in_batch():
        yield _CHECKPOINT


@types.coroutine
def enter_task() -> Generator[object, None, None]:
    """Makes the calling coroutine continue in an asyncio task. Does nothing if it has one already.

    Await it before code that needs `asyncio.current_task`, such as `asyncio.timeout`: a coroutine
    of a batch has no task until it waits for the first time.
    """
    if in_batch():
        yield _NEEDS_TASK


@dataclass(slots=True, eq=False)
class Suspended(Generic[T]):
    """A coroutine of a batch that has to wait. Await `result` in a task created with `context`."""

    context: Context
    _coroutine: Coroutine[Any, Any, T]
    _awaited: Any

    async def result(self) -> T:
        """Runs the coroutine to its end, and returns its result. Call it once."""
        return await _resume(self._coroutine, self._awaited)


def run_batch(
    coroutines: Sequence[Coroutine[Any, Any, T]],
) -> list[T | Suspended[T] | BaseException]:
    """Runs *coroutines*, each in a copy of the current context. Call it outside of any task.

    Returns in the same order the result of each coroutine, its exception, or a `Suspended` for a
    coroutine that has to wait.
    """
    thread = get_ident()
    _threads.add(thread)
    try:
        return _run(coroutines)
    finally:
        _threads.discard(thread)


def _run(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | Suspended[T] | BaseException]:
    results: list[Any] = [None] * len(coroutines)
    running = [(index, each, copy_context()) for index, each in enumerate(coroutines)]
    while running:
        next_stage = []
        for index, coroutine, context in running:
            try:
                awaited = context.run(coroutine.send, None)
            except StopIteration as done:
                results[index] = done.value
            except (Exception, CancelledError) as error:
                results[index] = error
            else:
                if awaited is _CHECKPOINT:
                    next_stage.append((index, coroutine, context))
                else:
                    results[index] = Suspended(context, coroutine, awaited)
        running = next_stage
    return results


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Runs *coroutine*, which waits for *awaited*, to its end in the current task."""
    while True:
        value: Any = None
        error: BaseException | None = None
        if awaited is not _NEEDS_TASK:
            try:
                value = yield awaited
            except BaseException as raised:
                error = raised
        try:
            awaited = coroutine.throw(error) if error is not None else coroutine.send(value)
        except StopIteration as done:
            result: T = done.value
            return result
