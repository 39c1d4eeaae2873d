"""Replaces the cookie of a session in the response to a request."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from headgate_engine import Engine, OutcomeUnknown, ShownSession, StoreUnavailable
from headgate_server.auth.session_cookie_fields import SessionCookies
from headgate_server.background.thread_pool import Key
from headgate_server.http.errors import Overloaded
from headgate_server.http.request import Request
from headgate_server.telemetry.metrics import Metrics


class _Run(Protocol):
    def __call__(self, work: Callable[[], str], key: Key = (), /) -> Awaitable[str]: ...


class SessionRotation:
    """Rotates sessions of *engine*. *run* runs a write of the store in a thread."""

    def __init__(
        self, engine: Engine, metrics: Metrics, cookies: SessionCookies, run: _Run
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._cookies = cookies
        self._run = run

    async def rotate(self, request: Request, shown: ShownSession) -> None:
        """Gives the session of *shown* a new cookie in the response to *request*, if it is due.

        Of simultaneous requests, one gets the new cookie. If the store cannot be written, the
        session keeps its cookie.
        """
        session = shown.principal.session
        if not shown.rotates or session is None or not request.sets_cookies:
            return
        rotate = partial(
            self._engine.sessions.rotate,
            shown,
            address=request.address,
            agent=request.headers.get("user-agent", ""),
        )
        try:
            token = await self._run(rotate, (shown.principal.name,))
        except (StoreUnavailable, OutcomeUnknown, Overloaded):
            return
        if token:
            self._metrics.session("rotated")
            ends = session.cookie_ends(self._engine.sessions.limits)
            request.set_cookie(self._cookies.set(request, token, ends))
