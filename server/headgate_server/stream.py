"""An answer that is sent while it is made."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator

from headgate_server.service import Service


async def stream(
    service: Service, pieces: Callable[[], Iterator[bytes]]
) -> AsyncGenerator[bytes, None]:
    """What `pieces()` gives, made in a thread, each as soon as it is there.

    Raises Overloaded, and what *pieces* raises. No more are made when nobody takes them.
    """
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[bytes | None] = asyncio.Queue()
    left = threading.Event()

    def make() -> None:
        for piece in pieces():
            loop.call_soon_threadsafe(made.put_nowait, piece)
            if left.is_set():
                return

    done = asyncio.wrap_future(service.submit(make))
    done.add_done_callback(lambda _: made.put_nowait(None))
    try:
        while (piece := await made.get()) is not None:
            yield piece
        await done
    finally:
        left.set()
