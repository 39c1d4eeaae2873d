"""Identities, and sessions of identity providers, of the user store in memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import LinkedIdentity, User, UserStatus
from headgate_engine.stores.base import DROPPED_IDENTITY_RETENTION_SECONDS
from headgate_engine.stores.memory_accounts import AccountState


@dataclass
class IdentityState(AccountState):
    """The identities of one revision; implements `IdentityTx` and `IdentityUpkeepTx`.

    *linked* maps an identity, issuer and subject, to the id of its user.
    """

    linked: dict[tuple[str, str], tuple[str, LinkedIdentity]] = field(default_factory=dict)
    dropped_at: dict[tuple[str, str], float] = field(default_factory=dict)
    used_tokens: dict[bytes, int] = field(default_factory=dict)

    def all_users(self) -> Sequence[User]:
        """Returns all users with their grants, in order of creation."""
        raise NotImplementedError

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        user_id, _ = self.linked.get((issuer, subject), ("", None))
        return self.user_by_id(user_id)

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        return self.dropped_at.get((issuer, subject))

    def identities(self, user: User) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to *user*, in order of linking."""
        return self.identities_of(user.id)

    def identities_of(self, user_id: str) -> Sequence[LinkedIdentity]:
        """Returns the identities that are linked to the user *user_id*, in order of linking."""
        return [identity for owner, identity in self.linked.values() if owner == user_id]

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity is linked to *user*."""
        return bool(self.identities(user))

    def link(self, user: User, issuer: str, subject: str) -> None:
        """Links the identity *subject* of *issuer* to *user*."""
        identity = LinkedIdentity(self.new_id(), issuer, subject, int(time.time()))
        self.linked[issuer, subject] = user.id, identity
        self.keys.append(f"user:{user.name}")

    def unlink(self, user: User, identity: LinkedIdentity) -> None:
        """Removes the link between *identity* and *user*."""
        del self.linked[identity.issuer, identity.subject]
        self.keys.append(f"user:{user.name}")

    def drop_identities(self, user: User) -> None:
        """Unlinks all identities of *user*, and stores the time for each of them.

        If an identity was linked, also deletes the times of drops more than 400 days ago.
        """
        bound = [key for key, (owner, _) in self.linked.items() if owner == user.id]
        if bound:
            now = time.time()
            oldest = now - DROPPED_IDENTITY_RETENTION_SECONDS
            kept = {key: at for key, at in self.dropped_at.items() if at >= oldest}
            self.dropped_at = kept | {key: max(now, kept.get(key, now)) for key in bound}
        for key in bound:
            del self.linked[key]

    def users_by_verified_email(self, email: str) -> Sequence[User]:
        """Returns at most two users with the verified address *email*, in any case of letters."""
        found = []
        for user in self.all_users():
            profile = self.profile(user)
            if profile.email_verified and profile.email.lower() == email.lower():
                found.append(user)
        return found[:2]

    def pending_users(self) -> Sequence[User]:
        """Returns the users that wait for approval, in order of creation."""
        return [user for user in self.all_users() if user.status is UserStatus.PENDING]

    def users_of_issuer(self, issuer: str, after: str, limit: int) -> Sequence[User]:
        """Returns at most *limit* users with an identity of *issuer*, after the id *after*."""
        ids = {owner for (of, _), (owner, _) in self.linked.items() if of == issuer}
        users = [it for it in self.all_users() if it.id in ids and int(it.id) > int(after or 0)]
        return users[:limit]

    def sessions_by_sid(self, provider: str, sid: str) -> Sequence[Session]:
        """Returns the sessions of *provider* that it calls *sid*."""
        found = self.sessions_by_id.values()
        return [it for it in found if sid and (it.provider, it.sid) == (provider, sid)]

    # ---- IdentityUpkeepTx

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        return self.tokens_by_session.get(session_id)

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*, if the session exists."""
        if session_id in self.sessions_by_id:
            self.tokens_by_session[session_id] = tokens

    def use_token(self, digest: bytes, expires_at: int) -> bool:
        """Records the use of the token with *digest*; False if it was used before."""
        if digest in self.used_tokens:
            return False
        self.used_tokens[digest] = expires_at
        return True

    def drop_used_tokens(self, before: int) -> int:
        """Deletes the records of tokens that expired before *before*. Returns their number."""
        old = [digest for digest, expires_at in self.used_tokens.items() if expires_at < before]
        for digest in old:
            del self.used_tokens[digest]
        return len(old)
