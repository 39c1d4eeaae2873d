"""Streams a response while threads produce it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial

from headgate_server.background.thread_pool import Run
from headgate_server.http.errors import Overloaded

# Size and time of a batch, after which it is sent and other work gets the thread.
_BATCH_BYTES = 1 << 16
_BATCH_SECONDS = 0.02
_RETRY_SECONDS = 0.05


async def stream(run: Run, pieces: Callable[[], Iterator[bytes]]) -> AsyncGenerator[bytes, None]:
    """Yields the bytes of the iterator `pieces()`. *run* advances the iterator in threads.

    The next batch of bytes is produced only once the previous batch is consumed. Raises Overloaded
    before the first batch only, and what the iterator raises.
    """
    iterator = pieces()
    batch = await run(partial(_next_batch, iterator))
    while batch:
        yield b"".join(batch)
        try:
            batch = await run(partial(_next_batch, iterator))
        except Overloaded:
            # A response that has begun has to be finished: tries again until a thread is free.
            await asyncio.sleep(_RETRY_SECONDS)
            batch = [b""]


def _next_batch(iterator: Iterator[bytes]) -> list[bytes]:
    """Returns the pieces that *iterator* yields within 20 ms, but stops after about 64 KiB.

    An empty list means that the iterator has ended.
    """
    batch: list[bytes] = []
    size, deadline = 0, time.monotonic() + _BATCH_SECONDS
    for piece in iterator:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH_BYTES or time.monotonic() >= deadline:
            break
    return batch
