"""Changes identities, and provider's tokens of sessions, of a SQLite user store with SQL."""

import time
from collections.abc import Sequence

import apsw

from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import LinkedIdentity, User
from headgate_engine.stores.base import DROPPED_IDENTITY_RETENTION_SECONDS
from headgate_engine.stores.sqlite import account_reads, identities, reads

_INSERT_DROPPED_IDENTITY = """
INSERT INTO dropped_identities SELECT issuer, subject, ? FROM identities WHERE user_id = ?
ON CONFLICT DO UPDATE SET dropped = max(dropped, excluded.dropped)
"""
# The SELECT skips a session that ended meanwhile.
_PUT_TOKENS = """
INSERT INTO session_tokens SELECT id, ?2, ?3, ?4, ?5 FROM sessions WHERE id = ?1
ON CONFLICT DO UPDATE SET refresh_token = excluded.refresh_token, id_token = excluded.id_token,
refreshing_until = excluded.refreshing_until, failures = excluded.failures
"""


class SqliteIdentityTx:
    """Implements `IdentityTx` on *connection*. *keys* are the users changed so far."""

    _connection: apsw.Connection
    keys: list[str]

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        return reads.read_user_by_identity(self._connection, issuer, subject)

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        return reads.read_identity_dropped_at(self._connection, issuer, subject)

    def identities(self, user: User) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to *user*, in order of linking."""
        return identities.read_identities(self._connection, user.id)

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity is linked to *user*."""
        return bool(self.identities(user))

    def link(self, user: User, issuer: str, subject: str) -> None:
        """Links the identity *subject* of *issuer* to *user*."""
        self._connection.execute(
            "INSERT INTO identities (issuer, subject, user_id, linked_at) VALUES (?, ?, ?, ?)",
            (issuer, subject, int(user.id), int(time.time())),
        )
        self.keys.append(f"user:{user.name}")

    def unlink(self, user: User, identity: LinkedIdentity) -> None:
        """Removes the link between *identity* and *user*."""
        self._connection.execute("DELETE FROM identities WHERE id = ?", (int(identity.id),))
        self.keys.append(f"user:{user.name}")

    def _drop_identities(self, user: User) -> None:
        """Stores the time of the drop of *user* for each identity of the user.

        Tokens of these identities that were issued earlier stay rejected. Also deletes times that
        are older than 400 days.
        """
        now = time.time()
        self._connection.execute(_INSERT_DROPPED_IDENTITY, (now, int(user.id)))
        self._connection.execute(
            "DELETE FROM dropped_identities WHERE dropped < ?",
            (now - DROPPED_IDENTITY_RETENTION_SECONDS,),
        )

    def users_by_verified_email(self, email: str) -> Sequence[User]:
        """Returns at most two users with the verified address *email*, in any case of letters."""
        return reads.read_users_by_verified_email(self._connection, email)

    def pending_users(self) -> Sequence[User]:
        """Returns the users that wait for approval, in order of creation."""
        return reads.read_pending_users(self._connection)

    def sessions_by_sid(self, provider: str, sid: str) -> Sequence[Session]:
        """Returns the sessions of *provider* that it calls *sid*."""
        return account_reads.read_sessions_by_sid(self._connection, provider, sid) if sid else []

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*."""
        put_session_tokens(self._connection, session_id, tokens)


class SqliteIdentityUpkeepTx:
    """Implements `IdentityUpkeepTx` on *connection*, inside a transaction."""

    _connection: apsw.Connection

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        return identities.read_session_tokens(self._connection, session_id)

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*, if the session exists."""
        put_session_tokens(self._connection, session_id, tokens)

    def use_token(self, digest: bytes, expires_at: int) -> bool:
        """Records the use of the token with *digest*; False if it was used before."""
        self._connection.execute(
            "INSERT INTO used_tokens VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, expires_at)
        )
        return self._connection.changes() == 1

    def drop_used_tokens(self, before: int) -> int:
        """Deletes the records of tokens that expired before *before*. Returns their number."""
        self._connection.execute("DELETE FROM used_tokens WHERE expires_at < ?", (before,))
        return self._connection.changes()


def put_session_tokens(connection: apsw.Connection, session_id: str, tokens: SessionTokens) -> None:
    """Replaces the provider's tokens of the session *session_id*, if the session exists."""
    values = (tokens.refresh_token, tokens.id_token, tokens.refreshing_until, tokens.failures)
    connection.execute(_PUT_TOKENS, (int(session_id), *values))
