"""Asks the provider again whether a session keeps its access, when the access has expired."""

import asyncio
from collections.abc import Mapping
from functools import partial

from headgate_engine import Engine, Session, SessionRejected, SessionTokens
from headgate_server.auth.errors import AccessUnconfirmed
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable, SignInRefused
from headgate_server.auth.oauth.sign_in import ProviderSignIn, Run
from headgate_server.telemetry.logging import log_error
from headgate_server.telemetry.metrics import Metrics

_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.05
_PAUSES = (10, 20, 40, 60)


class AccessRefresher:
    """Confirms the access of sessions by the providers *sign_ins*.

    One worker asks at a time, because a provider may accept a refresh token only once.
    """

    def __init__(
        self, sign_ins: Mapping[str, ProviderSignIn], engine: Engine, metrics: Metrics, run: Run
    ) -> None:
        self._sign_ins, self._engine, self._metrics, self._run = sign_ins, engine, metrics, run
        self._running: dict[str, asyncio.Task[None]] = {}

    def is_due(self, session: Session) -> bool:
        """Returns whether the provider has to confirm the access of *session* now."""
        return 0 < session.access_expires_at <= self._engine.sessions.now()

    async def confirm(self, session: Session, address: str) -> None:
        """Confirms the access of *session*, whose request came from *address*.

        While the provider does not answer, the session stays valid for `refresh-stale-if-error`.

        Raises:
            SessionRejected: the provider refuses the access; the session is revoked.
            AccessUnconfirmed: the provider has not answered for too long; the session stays.
        """
        if session.id not in self._running:
            task = asyncio.ensure_future(self._confirm(session, address))
            self._running[session.id] = task
            task.add_done_callback(lambda _: self._running.pop(session.id, None))
        await asyncio.wait([self._running[session.id]], timeout=_WAIT_SECONDS)
        stored = self._engine.store.session_by_hash(session.hash)
        if stored is None or stored.revoked_at:
            raise SessionRejected("revoked")
        late = self._engine.sessions.now() - stored.access_expires_at
        provider = self._sign_ins.get(session.provider)
        allowed = provider.settings.refresh_stale_if_error if provider is not None else 0.0
        if late >= max(allowed, 1.0):
            raise AccessUnconfirmed

    async def _confirm(self, session: Session, address: str) -> None:
        provider = self._sign_ins.get(session.provider)
        sessions = self._engine.provider_sessions
        if provider is None:
            await self._run(partial(sessions.end_for_lost_access, session, address))
            return
        tokens: SessionTokens | None = await self._run(partial(sessions.take_lease, session))
        if tokens is None:
            await self._wait_for_other(session)
            return
        subject = await self._run(partial(self._subject, session, provider))
        try:
            if not subject:
                raise AccessRefused("the identity was unlinked")
            renewed, expires_at = await provider.refreshed(subject, tokens, address)
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

    def _subject(self, session: Session, provider: ProviderSignIn) -> str:
        """Returns the account at *provider* that the user of *session* comes in by; "" for none."""
        issuer = provider.settings.identity_issuer
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
