"""Authenticates requests by tokens that are signed with the shared secret."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headgate_engine import Engine, Principal, User
from headgate_server.auth.errors import Unauthenticated

if TYPE_CHECKING:
    from headgate_server.auth.shared_secret import SharedSecretVerifier


class SharedSecretAuthenticator:
    """Verifies tokens signed with one of *secrets*; without secrets, none is accepted.

    With *password_ends_tokens* a token must be newer than its user's password.
    """

    def __init__(
        self, engine: Engine, secrets: Sequence[str], *, password_ends_tokens: bool
    ) -> None:
        self._engine = engine
        self._password_ends_tokens = password_ends_tokens
        self._verifier = _create_verifier(secrets)

    def replace_secrets(self, secrets: Sequence[str]) -> None:
        """Replaces the secrets: from then on, only tokens of the new ones are accepted."""
        self._verifier = _create_verifier(secrets)

    @property
    def is_enabled(self) -> bool:
        """Whether there is a secret."""
        return self._verifier is not None

    def principal(self, token: str) -> Principal:
        """Returns the principal of *token*. Raises Unauthenticated."""
        if self._verifier is None:
            raise Unauthenticated("bearer auth disabled")
        name, claims = self._verifier.verify(token)
        user = self._engine.active_user(name)
        if user is None:
            raise Unauthenticated("user not found")
        if claims.issued_at is not None and self._is_older(claims.issued_at, user):
            raise Unauthenticated("token was issued before its user or password")
        return Principal(user, "shared-secret", expires_at=int(claims.expires_at or 0))

    def _is_older(self, issued_at: float, user: User) -> bool:
        """Returns whether a token was issued before *user* was created, or before the password.

        Times are whole seconds. A token of the second in which the password was changed is older;
        a token of the second in which the user was created is not.
        """
        if issued_at < user.created_at:
            return True
        changed = user.password_changed_at
        return self._password_ends_tokens and changed > user.created_at and issued_at <= changed


def _create_verifier(secrets: Sequence[str]) -> "SharedSecretVerifier | None":
    """Returns the verifier of tokens signed with one of *secrets*, or None without secrets."""
    if not secrets:
        return None
    # Imported on demand: the libraries of tokens take a fifth of a server's start.
    from headgate_server.auth.shared_secret import SharedSecretVerifier

    return SharedSecretVerifier(secrets)
