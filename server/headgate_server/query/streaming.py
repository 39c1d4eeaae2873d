"""An answer that is sent while it is made."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial

from headgate_server.background.thread_pool import Run
from headgate_server.http.errors import Overloaded

# So much is made at a time, before anything of it is sent and others have their turn.
_BATCH_BYTES = 1 << 16
_BATCH_SECONDS = 0.02
_RETRY_SECONDS = 0.05


async def stream(run: Run, pieces: Callable[[], Iterator[bytes]]) -> AsyncGenerator[bytes, None]:
    """What `pieces()` gives, made in threads by *run*, and only as fast as it is taken.

    Raises Overloaded at its beginning, and what *pieces* raises.
    """
    made = pieces()
    batch = await run(partial(_batch, made))
    while batch:
        yield b"".join(batch)
        try:
            batch = await run(partial(_batch, made))
        except Overloaded:
            # What was begun is finished: it only takes longer.
            await asyncio.sleep(_RETRY_SECONDS)
            batch = [b""]


def _batch(made: Iterator[bytes]) -> list[bytes]:
    """The next pieces, at least one unless there are no more."""
    batch: list[bytes] = []
    size, enough = 0, time.monotonic() + _BATCH_SECONDS
    for piece in made:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH_BYTES or time.monotonic() >= enough:
            break
    return batch
