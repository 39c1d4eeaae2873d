"""Authenticates requests by a session's cookie."""

from functools import partial

from headgate_engine import Engine, SessionRejected, SessionReused, ShownSession
from headgate_server.auth.credentials import SessionCookie
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.telemetry.metrics import Metrics

# A browser sends several cookies of one name if they differ in path or domain.
_MAX_COOKIES = 8
_MAX_WAITING = 64


class SessionAuthenticator:
    """Verifies session cookies."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._pool = FairThreadPool(1, _MAX_WAITING)

    def check(self, cookie: SessionCookie) -> ShownSession | None:
        """Returns the session of *cookie* if it is a single valid one, else None."""
        try:
            (hash,) = cookie.hashes
            return self._engine.sessions.authenticate_hash(hash)
        except (ValueError, SessionRejected):  # ValueError: several cookies
            return None

    async def authenticate(self, cookie: SessionCookie, address: str) -> ShownSession:
        """Returns the session of *cookie*, which `check` has not accepted.

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
        return next(iter(found.values()))

    def close(self) -> None:
        """Ends the thread that revokes sessions."""
        self._pool.close(0)
