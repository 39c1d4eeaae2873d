"""Authenticates requests by a session's cookie."""

from functools import partial

from headgate_engine import Engine, Principal, SessionRejected, SessionReused, ShownSession
from headgate_server.auth.credentials import RequestCredentials, SessionCookie
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.background.usage_writer import UsageWriter
from headgate_server.telemetry.metrics import Metrics

# A browser sends several cookies of one name if they differ in path or domain.
_MAX_COOKIES = 8
_MAX_WAITING = 64


class SessionAuthenticator:
    """Verifies session cookies. *usage* stores when they were shown."""

    def __init__(self, engine: Engine, metrics: Metrics, usage: UsageWriter) -> None:
        self._engine = engine
        self._metrics = metrics
        self._usage = usage
        self._pool = FairThreadPool(1, _MAX_WAITING)

    async def authenticate(
        self, request: RequestCredentials, cookie: SessionCookie, address: str
    ) -> Principal:
        """Returns the principal of *cookie*, and sets `request.session`.

        Several cookies count if all valid ones are of one user. Raises SessionRejected.
        """
        found: dict[str, ShownSession] = {}
        refusal = SessionRejected("invalid")
        for hash in cookie.hashes[:_MAX_COOKIES]:
            try:
                shown = self._engine.sessions.authenticate_hash(hash)
                found[shown.principal.name] = shown
            except SessionReused as error:
                refusal = error
                self._metrics.session("revoked_reuse")
                revoke = self._engine.sessions.revoke_reused
                await self._pool.run(partial(revoke, error.session, address))
            except SessionRejected as error:
                refusal = error
        if len(found) != 1:
            raise refusal if not found else SessionRejected("invalid")
        (shown,) = found.values()
        request.session = shown
        self._usage.record_session(shown)
        return shown.principal

    def close(self) -> None:
        """Ends the thread that revokes sessions."""
        self._pool.close(0)
