"""How many sessions and API keys there are, by their state."""

from dataclasses import dataclass

# A key that expires within this time is soon to be rotated.
EXPIRING_SECONDS = 7 * 86_400


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """The numbers of active sessions, and of keys that are not revoked.

    *keys_expiring* are those of *keys_active* that expire within a week.
    """

    sessions_active: int = 0
    keys_active: int = 0
    keys_expiring: int = 0
    keys_expired: int = 0
