"""One request on its way: what it carries, and what is noted of it for log and metrics."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from headgate_server.form import Pairs, check_number, pairs
from headgate_server.refusals import BadRequest

if TYPE_CHECKING:  # it knows us
    from headgate_server.gateway.mounted import Mounted


_PATIENCE_SECONDS = 0.25
_LEFT = "the client has left"


@dataclass(slots=True)
class Note:
    """What the log may say of a request: nothing here is secret.

    Statements are printed from their trees, passwords as `[REDACTED]`.
    """

    id: str = ""
    user: str = ""
    database: str = ""
    statements: str = ""
    error: str = ""  # the request's, or of its statements the first one's


class Call(Request):
    """A request, with its URL's parameters as InfluxDB reads them."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.note = Note()
        self.route = "other"  # for log and metrics
        self.mounted: Mounted | None = None
        self._ends: list[Callable[[], None]] = []

    def at_end(self, end: Callable[[], None]) -> None:
        """*end* is called when the request has had its answer, or broke off."""
        self._ends.append(end)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """If the client leaves while it lasts, which takes longer than most, ClientDisconnect ends
        it. Nothing of the body may be still to come.

        As in InfluxDB, who has only closed his half of the connection has left, too.
        """
        task = asyncio.current_task()
        assert task is not None
        watch: list[asyncio.Task[None]] = []

        async def watching() -> None:
            while (await self.receive())["type"] != "http.disconnect":
                pass
            task.cancel(_LEFT)

        state = self.scope.setdefault("state", {})

        def leave() -> None:
            task.cancel(_LEFT)

        def begin() -> None:
            if state.get("half_closed"):
                leave()
            state["on_half_close"] = leave
            watch.append(asyncio.ensure_future(watching()))

        timer = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, begin)
        try:
            yield
        except asyncio.CancelledError as error:
            if error.args != (_LEFT,):
                raise
            task.uncancel()
            raise ClientDisconnect from None
        finally:
            timer.cancel()
            state.pop("on_half_close", None)
            for one in watch:
                one.cancel()

    def end(self) -> None:
        while self._ends:
            self._ends.pop()()

    @property
    def raw_path(self) -> bytes:
        """As it was sent, undecoded."""
        path: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return path

    @cached_property
    def url_pairs(self) -> Pairs:
        """Raises BadRequest for very many."""
        encoded: bytes = self.scope["query_string"]
        check_number(encoded)
        return pairs(encoded)

    def check_authorization(self) -> None:
        """Raises BadRequest for more than one header `Authorization`: who else reads this request
        may have taken another one.
        """
        if len(self.headers.getlist("authorization")) > 1:
            raise BadRequest("more than one Authorization header")

    @cached_property
    def address(self) -> str:
        """Where it comes from: an IP address, or `unix` for a unix socket."""
        if self.client is None:
            return "unix"
        # IPv4 on a socket for both: the same client has one name only.
        return self.client.host.removeprefix("::ffff:")
