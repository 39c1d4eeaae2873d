"""Cancels the code that answers a request when its client disconnects."""

import asyncio
from types import TracebackType
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headgate_server.http.eager_batch import enter_task

_DELAY_SECONDS = 0.25
_DISCONNECTED_REASON = "the client has left"
# An ASGI extension: the server sets `disconnected` in the scope's `state` to True once the client
# has closed the connection, or its half of it. It then calls `on_disconnect` of `state`, if any.
DISCONNECT_CALLBACK = "headgate.disconnect.callback"


class AsgiRequest(Protocol):
    """A request with ASGI's *scope* and *receive*, which are read when detection begins."""

    scope: Scope
    receive: Receive


class DisconnectWatch:
    """An async context manager that cancels its block when the client of *request* disconnects.

    It then raises ClientDisconnect. A calling coroutine without an asyncio task continues in a new
    task. The block has at least 0.25 s: a client may send a request and leave at once.
    """

    __slots__ = ("_request", "_task", "_timer", "_watch", "_cancelled", "_loop", "_earliest")

    def __init__(self, request: AsgiRequest) -> None:
        self._request = request

    async def __aenter__(self) -> None:
        await enter_task()
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled = False
        self._loop = asyncio.get_running_loop()
        self._earliest = self._loop.time() + _DELAY_SECONDS
        scope = self._request.scope
        if DISCONNECT_CALLBACK in scope.get("extensions", ()):
            state = scope["state"]
            state["on_disconnect"] = self._cancel_later
            if "disconnected" in state:
                self._cancel_later()
        else:
            self._timer = self._loop.call_at(self._earliest, self._start)

    def _start(self) -> None:
        self._watch = asyncio.ensure_future(self._watch_messages(self._request.receive))

    async def _watch_messages(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._earliest, self._cancel)

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
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        else:
            self._request.scope.get("state", {}).pop("on_disconnect", None)
        if isinstance(error, asyncio.CancelledError) and error.args == (_DISCONNECTED_REASON,):
            self._task.uncancel()
            raise ClientDisconnect from None
