"""Sessions: a person has signed in, and a cookie with a random token stands for them."""

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import Literal

_MAX_TOKEN_CHARS = 128
_MAX_AGENT_CHARS = 200
# While a successor may be lost on its way, the previous token stays valid.
URGENT_SECONDS = 60
YOUNG_SECONDS = 5
GRACE_SECONDS = 60
_SEEN_SECONDS = 60

Refusal = Literal["revoked", "expired"]
RevocationReason = Literal[
    "user", "admin", "limit", "password", "disabled", "reuse", "provider", "access"
]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long sessions last, in seconds. *lifetime* 0: no limit.

    A session ends *inactive* seconds after its last use, and *lifetime* seconds after the sign-in.
    Its token is replaced every *interval* seconds. A user has at most *max_per_user* sessions; 0:
    any number.
    """

    inactive: int = 7 * 86_400
    lifetime: int = 30 * 86_400
    interval: int = 600
    max_per_user: int = 0


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The tokens of a provider that belong to a session, sealed by the server.

    *refresh_token* asks for the access anew; *id_token* is for the sign-out at the provider. b""
    stands for none. Until the Unix time *refreshing_until*, one worker refreshes the access.
    *failures* counts the requests in vain since the access expired.
    """

    refresh_token: bytes = field(default=b"", repr=False)
    id_token: bytes = field(default=b"", repr=False)
    refreshing_until: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """What a provider says of a session at the sign-in. See `Session`.

    *auth_at* 0 stands for now.
    """

    provider: str = ""
    sid: str = ""
    access_expires_at: int = 0
    tokens: SessionTokens | None = None
    auth_at: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session of the user *user*. Times are Unix seconds; 0 stands for none.

    *hash* is that of the current token, and *previous* that of the token before it. *seen* is
    whether the current token was shown, and *confirmed_at* when it was shown first. *seen_at* is
    when it was shown last, *rotated_at* when it was made. *ends_at* ends the session in any case.
    *reason* says why it was revoked. *address* and *agent* are the client's.

    *auth_at* is when the person last showed a password or came from a provider. *provider* is the
    name of the provider that they came by, and *sid* is its own name of the session. From
    *access_expires_at* on, the provider has to confirm the access anew.
    """

    user_id: str
    user: str
    hash: bytes = field(repr=False)
    created_at: int
    rotated_at: int
    method: str
    id: str = ""
    previous: bytes = field(default=b"", repr=False)
    seen: bool = False
    seen_at: int = 0
    confirmed_at: int = 0
    ends_at: int = 0
    revoked_at: int = 0
    reason: str = ""
    provider: str = ""
    address: str = ""
    agent: str = ""
    auth_at: int = 0
    sid: str = ""
    access_expires_at: int = 0

    def ends(self, limits: SessionLimits) -> int:
        """Returns when this session ends if it is not used again."""
        ends = [max(self.rotated_at, self.seen_at) + limits.inactive]
        if limits.lifetime:
            ends.append(self.created_at + limits.lifetime)
        if self.ends_at:
            ends.append(self.ends_at)
        return min(ends)

    def cookie_ends(self, limits: SessionLimits) -> int:
        """Returns when the cookie ends; 0 if there is no limit."""
        lifetime_ends = self.created_at + limits.lifetime if limits.lifetime else 0
        if lifetime_ends and self.ends_at:
            return min(lifetime_ends, self.ends_at)
        return lifetime_ends or self.ends_at

    def refusal(self, limits: SessionLimits, now: int) -> Refusal | None:
        """Returns why this session is not valid at *now*, or None if it is valid."""
        if self.revoked_at:
            return "revoked"
        return "expired" if now >= self.ends(limits) else None

    def is_reused(self, hash: bytes, now: int) -> bool:
        """Returns whether the token with *hash* was replaced, and its successor is in use.

        Then another client than the session's own may have the token.
        """
        confirmed = self.confirmed_at > 0 and now - self.confirmed_at > GRACE_SECONDS
        return self.previous == hash and self.hash != hash and confirmed

    def needs_rotation(self, limits: SessionLimits, now: int) -> bool:
        """Returns whether the current token is old enough to be replaced."""
        return self.rotated_at < now - (limits.interval if self.seen else URGENT_SECONDS)

    def shown(self, hash: bytes, limits: SessionLimits, now: int) -> "Session":
        """Returns this session after its token with *hash* was shown at *now*."""
        if hash != self.hash:  # an old tab, or a lost response
            return replace(self, seen=False) if self.seen else self
        if not self.seen:
            return replace(self, seen=True, seen_at=now, confirmed_at=self.confirmed_at or now)
        if now - self.seen_at > min(_SEEN_SECONDS, limits.inactive // 10):
            return replace(self, seen_at=now)
        return self

    def unchanged_until(self, limits: SessionLimits) -> int:
        """Returns until when the current token, shown again, changes nothing of this session."""
        return min(
            self.ends(limits),
            self.rotated_at + limits.interval,
            self.seen_at + min(_SEEN_SECONDS, limits.inactive // 10),
        )

    def may_rotate(self, hash: bytes, limits: SessionLimits, now: int) -> bool:
        """Returns whether the response to a request with the token of *hash* brings a new token."""
        if hash == self.hash:
            return self.needs_rotation(limits, now)
        return self.confirmed_at == 0 and now - self.rotated_at > URGENT_SECONDS

    def revoked(self, reason: RevocationReason, now: int) -> "Session":
        """Returns this session, revoked for *reason* at *now*."""
        return replace(self, revoked_at=now, reason=reason)

    def rotated(
        self, previous: bytes, new: bytes, now: int, *, address: str, agent: str
    ) -> "Session":
        """Returns this session with a new token of the hash *new*.

        *previous* is the hash that stays valid for a while: of the token that was shown.
        """
        return replace(
            self,
            previous=previous,
            hash=new,
            seen=False,
            seen_at=0,
            confirmed_at=0,
            rotated_at=now,
            address=address,
            agent=clean_agent(agent),
        )


def new_session_token() -> str:
    """Returns a new random token of 256 bits, 43 characters."""
    return secrets.token_urlsafe(32)


def session_hash(token: str) -> bytes | None:
    """Returns the hash by which a store finds the session of *token*: SHA-256, 32 bytes.

    Returns None for a text that is no token.
    """
    if not token or len(token) > _MAX_TOKEN_CHARS:
        return None
    return hashlib.sha256(b"headgate session\0" + token.encode("utf-8", "surrogatepass")).digest()


def clean_agent(agent: str) -> str:
    """Returns the first 200 printable characters of the header `User-Agent`."""
    return "".join(char for char in agent if char.isprintable())[:_MAX_AGENT_CHARS]
