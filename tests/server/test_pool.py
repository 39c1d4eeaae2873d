"""Threads with a queue that has an end."""

import asyncio
import threading

import pytest

from headgate_server.pool import Pool
from headgate_server.refusals import Overloaded


def test_a_client_that_leaves_does_not_free_the_thread_that_works_for_it() -> None:
    pool, done = Pool(1, 1), threading.Event()

    async def scenario() -> None:
        running = asyncio.ensure_future(pool.run(done.wait))
        waiting = asyncio.ensure_future(pool.run(int))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await pool.run(int)
        running.cancel()
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await pool.run(int)
        done.set()
        assert await waiting == 0
        assert sum(await asyncio.gather(pool.run(int), pool.run(int))) == 0

    asyncio.run(scenario())
    pool.close()


def test_what_the_work_raises_comes_back() -> None:
    pool = Pool(1, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(divmod, 1, 0))
    pool.close()
