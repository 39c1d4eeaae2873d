"""Cancels the code that answers a request when its client disconnects."""

import asyncio
from types import TracebackType
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headgate_server.http.eager_batch import enter_task

_DISCONNECT_CHECK_DELAY_SECONDS = 0.25
_DISCONNECTED_REASON = "the client has left"


class AsgiRequest(Protocol):
    """A request with ASGI's *scope* and *receive*, which are read when detection begins."""

    scope: Scope
    receive: Receive


class DisconnectWatch:
    """An async context manager that cancels its block when the client of *request* disconnects.

    It then raises ClientDisconnect. A calling coroutine without an asyncio task continues in a new
    task. Detection begins after 0.25 s.
    """

    __slots__ = ("_request", "_task", "_timer", "_watch", "_cancelled")

    def __init__(self, request: AsgiRequest) -> None:
        self._request = request

    async def __aenter__(self) -> None:
        await enter_task()
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._watch: asyncio.Task[None] | None = None
        self._cancelled = False
        self._timer = asyncio.get_running_loop().call_later(
            _DISCONNECT_CHECK_DELAY_SECONDS, self._start
        )

    def _start(self) -> None:
        state: dict[str, Any] = self._request.scope.setdefault("state", {})
        if state.get("half_closed"):
            self._cancel()
            return
        state["on_half_close"] = self._cancel
        self._watch = asyncio.ensure_future(self._watch_messages(self._request.receive))

    async def _watch_messages(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel(self) -> None:
        if not self._cancelled:  # a second time would need a second `uncancel`
            self._cancelled = True
            self._task.cancel(_DISCONNECTED_REASON)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._request.scope["state"].pop("on_half_close", None)
            self._watch.cancel()
        if isinstance(error, asyncio.CancelledError) and error.args == (_DISCONNECTED_REASON,):
            self._task.uncancel()
            raise ClientDisconnect from None
