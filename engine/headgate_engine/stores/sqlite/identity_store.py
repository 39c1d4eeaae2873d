"""The part of the SQLite user store for identities, and for sessions of identity providers."""

from collections.abc import Sequence

import apsw

from headgate_engine.model.session import SessionTokens
from headgate_engine.model.user import LinkedIdentity, User
from headgate_engine.stores.sqlite import identities, reads
from headgate_engine.stores.sqlite.connection import refusing


class SqliteIdentityReads:
    """Base class of `SqliteStore`: implements `IdentityReads`."""

    def _reader(self) -> apsw.Connection:
        """Returns this thread's read-only connection."""
        raise NotImplementedError

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        with refusing("read"):
            return reads.read_user_by_identity(self._reader(), issuer, subject)

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        with refusing("read"):
            return reads.read_identity_dropped_at(self._reader(), issuer, subject)

    def identities(self, user_id: str) -> Sequence[LinkedIdentity]:
        with refusing("read"):
            return identities.read_identities(self._reader(), user_id)

    def users_of_issuer(self, issuer: str, after: str = "", limit: int = 1000) -> Sequence[User]:
        with refusing("read"):
            return reads.read_users_of_issuer(self._reader(), issuer, after, limit)

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        with refusing("read"):
            return identities.read_session_tokens(self._reader(), session_id)
