"""Coroutines of a batch run without a task, until one has to wait."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from headgate_engine import UNRESTRICTED, Engine, MemoryStore, Passwords, Principal
from headgate_grammar import parse
from headgate_server.http.eager_batch import Suspended, checkpoint, enter_task, run_batch
from headgate_server.query.user_loader import UserLoader

Make = Callable[[], Coroutine[Any, Any, Any]]


def run(*make: Make) -> list[Any]:
    """The result of each coroutine, run as a batch in a callback of the loop."""

    async def main() -> list[Any]:
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(
            lambda: done.set_result(run_batch([one() for one in make]))
        )
        results = await done
        loop = asyncio.get_running_loop()
        return [
            await loop.create_task(one.result(), context=one.context)
            if isinstance(one, Suspended)
            else one
            for one in results
        ]

    return asyncio.run(main())


def test_a_coroutine_that_never_waits_needs_no_task() -> None:
    async def one() -> object:
        await checkpoint()
        return asyncio.current_task()

    assert run(one) == [None]


def test_one_that_waits_goes_on_in_a_task() -> None:
    async def one() -> bool:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        await checkpoint()
        async with asyncio.timeout(5):
            return asyncio.current_task() is not None

    async def other() -> bool:
        await enter_task()
        async with asyncio.timeout(5):
            return True

    assert run(one, other) == [True, True]


def test_an_error_of_one_is_no_error_of_another() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    async def whole() -> int:
        await checkpoint()
        return 1

    error, result = run(broken, whole)
    assert isinstance(error, ValueError) and result == 1


def test_a_cancelled_future_of_one_is_no_error_of_another() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def whole() -> int:
        await checkpoint()
        return 1

    error, result = run(cancelled, whole)
    assert isinstance(error, asyncio.CancelledError) and result == 1


def test_an_error_after_waiting_is_raised_in_the_task() -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(broken)


def test_a_cancelled_one_ends_its_blocks() -> None:
    ended = []

    async def one() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def main() -> None:
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def start() -> None:
            (result,) = run_batch([one()])
            assert isinstance(result, Suspended)
            task = loop.create_task(result.result())
            loop.call_soon(task.cancel)
            task.add_done_callback(lambda _: started.set())

        loop.call_soon(start)
        await started.wait()

    asyncio.run(main())
    assert ended == [True]


def test_all_reach_a_checkpoint_before_one_goes_on() -> None:
    seen = []

    async def one(name: str) -> None:
        for stage in range(3):
            seen.append(f"{name}{stage}")
            await checkpoint()

    run(lambda: one("a"), lambda: one("b"))
    assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_each_has_its_own_context() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")

    async def one(name: str, wait: bool) -> str:
        token = variable.set(name)
        await checkpoint()
        if wait:
            await asyncio.sleep(0)
        value = variable.get()
        variable.reset(token)
        return value + variable.get()

    results = run(lambda: one("a", False), lambda: one("b", True), lambda: one("c", False))
    assert results == ["anone", "bnone", "cnone"]


class CountedStore(MemoryStore):
    """Records what is read ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.prefetched: list[list[str]] = []

    def prefetch_users(self, names: Any) -> None:
        self.prefetched.append(list(names))


def test_users_of_a_batch_are_read_with_one_query() -> None:
    store = CountedStore()
    engine, loader = Engine(store, Passwords(4)), UserLoader(store)
    engine.query("CREATE USER todd WITH PASSWORD 'x'", UNRESTRICTED)
    todd = engine.user("todd")
    assert todd is not None

    def ask(text: str, principal: Principal = UNRESTRICTED) -> Make:
        return lambda: loader.prefetch(principal, parse(text))

    run(
        ask("SHOW GRANTS FOR a"),
        ask("SHOW USERS"),
        ask("SHOW GRANTS FOR b; SHOW GRANTS FOR c"),
        ask("SHOW GRANTS FOR d", Principal(todd)),
    )
    assert store.prefetched == [["a", "b", "c"]]
    run(ask("SHOW GRANTS FOR a"))
    assert len(store.prefetched) == 1  # alone, it is read as any other
