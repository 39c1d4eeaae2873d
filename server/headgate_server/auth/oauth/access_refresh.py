"""Asks the provider again whether a session keeps its access, when the access has expired."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from headgate_engine import REFRESH_SECONDS, Engine, Session, SessionRejected, SessionTokens
from headgate_server.auth.errors import AccessUnconfirmed
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable, SignInRefused
from headgate_server.http.eager_batch import enter_task
from headgate_server.telemetry.logging import log_error
from headgate_server.telemetry.metrics import Metrics

_Answer = TypeVar("_Answer")
Run = Callable[[Callable[[], Any]], Awaitable[Any]]

_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.05
_PAUSES = (10, 20, 40, 60)


class AccessSource(Protocol):
    """What confirms the access of a session: a provider, or a directory."""

    @property
    def stale_if_error(self) -> float:
        """For how many seconds a session lasts while there is no answer."""
        ...

    async def refreshed(
        self, issuer: str, subject: str, stored: SessionTokens, address: str
    ) -> tuple[SessionTokens, int]:
        """Returns the tokens for the next time, and when the access ends, in Unix seconds.

        *subject* of *issuer* is the identity, and *stored* are the tokens of its session. Raises
        AccessRefused and ProviderUnavailable.
        """
        ...

    def issuer_of(self, provider: str) -> str:
        """Returns the issuer of the identities of *provider*, as sessions name it."""
        ...


# Returns what confirms the access of sessions of a provider, by its name in the session, or None.
FindSource = Callable[[str], AccessSource | None]


class AccessRefresher:
    """Confirms the access of sessions by what *find* returns for their provider.

    One worker asks at a time, because a provider may accept a refresh token only once.
    """

    def __init__(self, find: FindSource, engine: Engine, metrics: Metrics, run: Run) -> None:
        self._find, self._engine, self._metrics, self._run = find, engine, metrics, run
        self._running: dict[str, asyncio.Task[None]] = {}

    def is_due(self, session: Session) -> bool:
        """Returns whether the access of *session* has to be confirmed now."""
        return 0 < session.access_expires_at <= self._engine.sessions.now()

    async def confirm(self, session: Session, address: str) -> None:
        """Confirms the access of *session*, whose request came from *address*.

        While the provider does not answer, the session stays valid for `refresh-stale-if-error`.

        Raises:
            SessionRejected: the provider refuses the access; the session is revoked.
            AccessUnconfirmed: the provider has not answered for too long; the session stays.
        """
        await enter_task()
        if session.id not in self._running:
            task = asyncio.ensure_future(self._confirm(session, address))
            self._running[session.id] = task
            task.add_done_callback(lambda _: self._running.pop(session.id, None))
        await asyncio.wait([self._running[session.id]], timeout=_WAIT_SECONDS)
        stored = self._engine.store.session_by_hash(session.hash)
        if stored is None or stored.revoked_at:
            raise SessionRejected("revoked")
        late = self._engine.sessions.now() - stored.access_expires_at
        source = self._find(session.provider)
        allowed = source.stale_if_error if source is not None else 0.0
        if late >= max(allowed, 1.0):
            raise AccessUnconfirmed

    async def _confirm(self, session: Session, address: str) -> None:
        source = self._find(session.provider)
        sessions = self._engine.provider_sessions
        if source is None:
            await self._run(partial(sessions.end_for_lost_access, session, address))
            return
        tokens: SessionTokens | None = await self._run(partial(sessions.take_lease, session))
        if tokens is None:
            await self._wait_for_other(session)
            return
        issuer = source.issuer_of(session.provider)
        subject = await self._run(partial(self._subject, session, issuer))
        try:
            if not subject:
                raise AccessRefused("the identity was unlinked")
            renewed, expires_at = await _within(
                REFRESH_SECONDS, source.refreshed(issuer, subject, tokens, address)
            )
        except ProviderUnavailable as error:
            self._metrics.sign_in.refresh(session.provider, "unavailable")
            log_error(f"provider {session.provider}: {error.reason}")
            pause = _PAUSES[min(tokens.failures, len(_PAUSES) - 1)]
            await self._run(partial(sessions.postpone, session, pause))
            return
        except SignInRefused as error:
            self._metrics.sign_in.refresh(session.provider, "refused")
            log_error(f"provider {session.provider}: session {session.id}: {error.reason}")
            await self._run(partial(sessions.end_for_lost_access, session, address))
            return
        self._metrics.sign_in.refresh(session.provider, "confirmed")
        await self._run(partial(sessions.confirm, session, renewed, expires_at))

    def _subject(self, session: Session, issuer: str) -> str:
        """Returns the account at *issuer* that the user of *session* comes in by; "" for none."""
        linked = self._engine.store.identities(session.user_id)
        return next((one.subject for one in linked if one.issuer == issuer), "")

    async def _wait_for_other(self, session: Session) -> None:
        """Waits while another worker asks the provider, at most 5 s."""
        for _ in range(int(_WAIT_SECONDS / _POLL_SECONDS)):
            stored = self._engine.store.session_by_hash(session.hash)
            if stored is None or stored.revoked_at or not self.is_due(stored):
                return
            tokens = await self._run(partial(self._engine.store.session_tokens, session.id))
            if tokens is None or tokens.refreshing_until <= self._engine.sessions.now():
                return
            if tokens.failures:
                return  # a pause after a failure
            await asyncio.sleep(_POLL_SECONDS)


async def _within(seconds: float, asking: Awaitable[_Answer]) -> _Answer:
    """Returns the result of *asking*. Raises ProviderUnavailable after *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            return await asking
    except TimeoutError:
        raise ProviderUnavailable(f"no answer within {seconds:.0f} s") from None
