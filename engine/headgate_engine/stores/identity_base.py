"""The parts of the interface `Store` for identities, and for sessions of identity providers."""

from collections.abc import Sequence
from typing import Protocol

from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import LinkedIdentity, User


class IdentityTx(Protocol):
    """The methods of a transaction that read and change identities. See `Tx`."""

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        ...

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        ...

    def identities(self, user: User) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to *user*, in order of linking."""
        ...

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity is linked to *user*."""
        ...

    def link(self, user: User, issuer: str, subject: str) -> None:
        """Links the identity *subject* of *issuer* to *user*.

        The identity must be unlinked, and *user* must have no identity of *issuer*.
        """
        ...

    def unlink(self, user: User, identity: LinkedIdentity) -> None:
        """Removes the link between *identity* and *user*."""
        ...

    def users_by_verified_email(self, email: str) -> Sequence[User]:
        """Returns at most two users with the verified address *email*, in any case of letters."""
        ...

    def pending_users(self) -> Sequence[User]:
        """Returns the users that wait for approval, in order of creation."""
        ...

    def sessions_by_sid(self, provider: str, sid: str) -> Sequence[Session]:
        """Returns the sessions of *provider* that it calls *sid*."""
        ...

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*."""
        ...


class IdentityUpkeepTx(Protocol):
    """The writes about provider's tokens that decide no right. See `UpkeepTx`."""

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        ...

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*, if the session exists."""
        ...

    def use_token(self, digest: bytes, expires_at: int) -> bool:
        """Records the use of the token with the 32-byte *digest*; False if it was used before.

        The record lasts until *expires_at*, in Unix seconds.
        """
        ...

    def drop_used_tokens(self, before: int) -> int:
        """Deletes the records of tokens that expired before *before*. Returns their number."""
        ...


class IdentityReads(Protocol):
    """The reads of a store for identities. Each may raise StoreUnavailable."""

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None.

        The user is as up to date as the result of `user`.
        """
        ...

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None.

        The identity is the pair of *issuer* and *subject*. A new link of the identity keeps the
        value. A later drop of another user may delete values older than 400 days.
        """
        ...

    def identities(self, user_id: str) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to the user *user_id*, in order of linking."""
        ...

    def users_of_issuer(self, issuer: str, after: str = "", limit: int = 1000) -> Sequence[User]:
        """Returns at most *limit* users with an identity of *issuer*, in order of creation.

        The result starts after the user id *after*.
        """
        ...

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        ...
