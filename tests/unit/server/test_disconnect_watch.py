"""DisconnectWatch: a block ends with its client, whether the server calls back or not."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headgate_server.http import disconnect_watch
from headgate_server.http.disconnect_watch import DISCONNECT_CALLBACK, DisconnectWatch


class Client:
    """An ASGI request, with a server that calls back or one that only has `receive`."""

    def __init__(self, *, calls_back: bool) -> None:
        self.calls_back = calls_back
        self.state: dict[str, Any] = {}
        self.scope: Scope = {"type": "http", "state": self.state}
        self.receive: Receive = self._receive
        if calls_back:
            self.scope["extensions"] = {DISCONNECT_CALLBACK: {}}
        self._left = asyncio.Event()

    async def _receive(self) -> dict[str, str]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._left.set()
        if self.calls_back:
            self.state["disconnected"] = True
            if callback := self.state.get("on_disconnect"):
                callback()


both = pytest.mark.parametrize("calls_back", [True, False])


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block may have 0.05 s after its client has left."""
    monkeypatch.setattr(disconnect_watch, "_DELAY_SECONDS", 0.05)


@both
@pytest.mark.parametrize("moment", ["before", "during", "twice"])
def test_the_block_ends_when_the_client_leaves(calls_back: bool, moment: str) -> None:
    async def main() -> None:
        client = Client(calls_back=calls_back)
        if moment == "before":
            client.leave()
        with pytest.raises(ClientDisconnect):
            async with DisconnectWatch(client):
                if moment != "before":
                    await asyncio.sleep(0)
                    client.leave()
                if moment == "twice":
                    client.leave()
                await asyncio.sleep(20)
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()
        assert "on_disconnect" not in client.state

    asyncio.run(main())


@both
def test_a_block_that_is_fast_enough_outlives_its_client(calls_back: bool) -> None:
    async def main() -> None:
        client = Client(calls_back=calls_back)
        async with DisconnectWatch(client):
            client.leave()
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        after = loop.time() + 2 * disconnect_watch._DELAY_SECONDS
        while loop.time() < after:  # nothing cancels the task later
            await asyncio.sleep(0.01)

    asyncio.run(main())


@both
def test_another_cancellation_stays_one(calls_back: bool) -> None:
    async def block(client: Client) -> None:
        async with DisconnectWatch(client):
            await asyncio.sleep(20)

    async def main() -> None:
        task = asyncio.ensure_future(block(Client(calls_back=calls_back)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
