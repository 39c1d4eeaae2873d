"""An account at a provider, as its ID token and its user information describe it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """An account. *claims* is the joined object of ID token and user information.

    *subject* is the provider's own id of the account. *name* is the name of a new user. *sid* is
    the provider's id of the session, and *token_expires_at* the end of the ID token.
    """

    subject: str
    name: str
    email: str = ""
    email_verified: bool = False
    full_name: str = ""
    organizations: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    team_ids: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sid: str = ""
    issued_at: float | None = None
    token_expires_at: int = 0
