"""FairThreadPool: a bounded queue of calls, shared fairly between keys."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.http.errors import Overloaded


def test_a_client_that_leaves_does_not_free_the_thread_that_works_for_it() -> None:
    pool, done = FairThreadPool(1, 1), threading.Event()

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
        assert [await pool.run(int), await pool.run(int)] == [0, 0]

    asyncio.run(scenario())
    pool.close()


def test_what_the_work_raises_comes_back() -> None:
    pool = FairThreadPool(1, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(lambda: divmod(1, 0)))
    pool.close()


def _order(pool: FairThreadPool, calls: list[tuple[str, int]]) -> list[str]:
    """Returns the keys of *calls* in the order in which *pool* runs the calls.

    A first call blocks the pool until all calls are queued.
    """
    begin, made = threading.Event(), list[str]()
    first = pool.submit(begin.wait, ("first",))
    futures = [
        pool.submit(lambda key=key: made.append(key), tuple(key.split()))  # type: ignore[misc]
        for key, count in calls
        for _ in range(count)
    ]
    begin.set()
    first.result(10)
    for future in futures:
        future.result(10)
    return made


def test_keys_take_turns_however_many_calls_each_has() -> None:
    pool = FairThreadPool(1, 100)
    assert _order(pool, [("a", 4), ("b", 2), ("c", 1)]) == ["a", "b", "c", "a", "b", "a", "a"]
    pool.close()


def test_groups_take_turns_and_in_a_group_its_keys() -> None:
    pool = FairThreadPool(1, 100)
    calls = [("known u1", 2), ("fresh u1", 3), ("fresh u2", 2), ("fresh u3", 1)]
    assert _order(pool, calls) == [
        *("known u1", "fresh u1", "known u1", "fresh u2", "fresh u3", "fresh u1", "fresh u2"),
        "fresh u1",
    ]
    pool.close()


def test_a_key_has_a_share_of_its_groups_places() -> None:
    pool, done = (
        FairThreadPool(1, 9, max_queued_per_group=3, max_queued_per_key=2),
        threading.Event(),
    )
    running = pool.submit(done.wait)
    waiting = [pool.submit(int, ("a", "x")) for _ in range(2)]
    with pytest.raises(Overloaded):
        pool.submit(int, ("a", "x"))
    waiting.append(pool.submit(int, ("a", "y")))
    with pytest.raises(Overloaded):
        pool.submit(int, ("a", "y"))
    waiting.append(pool.submit(int, ("b", "x")))
    done.set()
    assert running.result(10) and [future.result(10) for future in waiting] == [0] * 4
    pool.close()


def test_a_key_has_a_share_of_the_queue_and_of_the_threads() -> None:
    pool, done = (
        FairThreadPool(3, 6, max_queued_per_group=2, max_running_per_group=1),
        threading.Event(),
    )
    running = pool.submit(done.wait, ("a",))
    waiting = [pool.submit(done.wait, ("a",)) for _ in range(2)]
    with pytest.raises(Overloaded):
        pool.submit(int, ("a",))
    # The other threads are reserved for other keys.
    assert pool.submit(int, ("b",)).result(10) == 0
    assert not any(future.running() for future in waiting)
    done.set()
    assert all(future.result(10) for future in [running, *waiting])
    pool.close()


def test_a_call_that_was_cancelled_leaves_its_place() -> None:
    pool, done = FairThreadPool(1, 1), threading.Event()
    running = pool.submit(done.wait)
    waiting = pool.submit(int)
    assert waiting.cancel()
    again = pool.submit(int)
    done.set()
    assert running.result(10) and again.result(10) == 0
    pool.close()


def test_closing_drops_what_only_waits() -> None:
    pool, done = FairThreadPool(1, 5), threading.Event()
    running, waiting = pool.submit(done.wait), pool.submit(int)
    assert not pool.close(0)
    assert waiting.cancelled() and not running.done()
    done.set()
    assert running.result(10)


@pytest.mark.parametrize(("queue", "share"), [(64, None), (200, 64)])
def test_a_key_without_waiting_calls_takes_the_place_of_another_keys_newest_call(
    queue: int, share: int | None
) -> None:
    changes, done, made = list[int](), threading.Event(), list[str]()
    pool = FairThreadPool(
        1, queue, changes.append, max_queued_per_group=share, max_queued_per_key=4
    )
    running = pool.submit(done.wait, ("g", "first"))

    def call(key: str) -> Future[None]:
        return pool.submit(lambda: made.append(key), ("g", key))

    calls = {f"k{i}": [call(f"k{i}") for _ in range(4)] for i in range(16)}
    new = call("new")
    (evicted,) = (one for many in calls.values() for one in many if one.done())
    (key,) = (key for key, many in calls.items() if evicted in many)
    assert calls[key].index(evicted) == 3
    assert isinstance(evicted.exception(), Overloaded)
    assert sum(changes) == 65
    for refused in ("new", "k0", "k15"):
        with pytest.raises(Overloaded):
            call(refused)
    assert sum(one.done() for many in calls.values() for one in many) == 1
    assert sum(changes) == 65
    done.set()
    assert running.result(10) and new.result(10) is None
    pool.close()
    assert made.index("new") == 16 and len(made) == 64
    assert sum(changes) == 0 and changes.count(1) == 66


def test_the_only_waiting_call_of_a_key_keeps_its_place() -> None:
    pool, done = FairThreadPool(1, 6, max_queued_per_group=3), threading.Event()
    pool.submit(done.wait)
    waiting = [pool.submit(int, ("g", key)) for key in "abc"]
    other = [pool.submit(int, ("h", "x")) for _ in range(3)]
    with pytest.raises(Overloaded):
        pool.submit(int, ("g", "d"))
    assert not any(future.done() for future in [*waiting, *other])
    done.set()
    assert [future.result(10) for future in [*waiting, *other]] == [0] * 6
    pool.close()


def test_an_evicted_caller_may_call_the_pool_again_at_once() -> None:
    pool, done, errors = FairThreadPool(1, 2), threading.Event(), list[BaseException | None]()
    pool.submit(done.wait, ("g", "first"))
    waiting = [pool.submit(int, ("g", "a")) for _ in range(2)]

    def again(future: Future[int]) -> None:
        errors.append(future.exception())
        with pytest.raises(Overloaded):
            pool.submit(int, ("g", "a"))

    waiting[1].add_done_callback(again)
    assert not pool.submit(int, ("g", "b")).done()
    assert [type(error) for error in errors] == [Overloaded]
    done.set()
    pool.close()


def test_an_awaiting_caller_is_told_that_its_call_was_evicted() -> None:
    pool, done = FairThreadPool(1, 2), threading.Event()

    async def scenario() -> None:
        running = asyncio.ensure_future(pool.run(done.wait, ("g", "first")))
        waiting = [asyncio.ensure_future(pool.run(int, ("g", "a"))) for _ in range(2)]
        await asyncio.sleep(0)
        new = asyncio.ensure_future(pool.run(int, ("g", "b")))
        with pytest.raises(Overloaded):
            await waiting[1]
        done.set()
        assert await running and await waiting[0] == await new == 0

    asyncio.run(scenario())
    pool.close()
