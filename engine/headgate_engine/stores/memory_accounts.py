"""Profiles, API keys and sessions of the user store in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from headgate_engine.model.account_counts import EXPIRING_SECONDS, AccountCounts
from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.imported_key import imported_mark
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionLimits, SessionTokens
from headgate_engine.model.user import User, UserStatus

T = TypeVar("T", ApiKey, Session)


@dataclass
class AccountState:
    """The accounts of one revision; implements `AccountTx` and `UpkeepTx` on this data.

    *scopes* maps the id of a key to the ids of the databases in its scope.
    """

    profiles_by_id: dict[str, Profile] = field(default_factory=dict)
    keys_by_id: dict[str, ApiKey] = field(default_factory=dict)
    scopes: dict[str, dict[str, str]] = field(default_factory=dict)
    sessions_by_id: dict[str, Session] = field(default_factory=dict)
    tokens_by_session: dict[str, SessionTokens] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def new_id(self) -> str:
        """Returns an id that was never used."""
        raise NotImplementedError

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        raise NotImplementedError

    def replace_user(self, user: User) -> None:
        """Replaces the stored user with the name of *user*, except for the grants."""
        raise NotImplementedError

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity (issuer and subject of tokens) is linked to *user*."""
        raise NotImplementedError

    def database_ids(self) -> dict[str, str]:
        """Returns the ids of the databases by name."""
        raise NotImplementedError

    def put_status(self, user: User, status: UserStatus) -> None:
        """Sets whether *user* may log in."""
        self.replace_user(replace(user, status=status))
        self.keys.append(f"user:{user.name}")

    def profile(self, user: User) -> Profile:
        """Returns the profile of *user*."""
        profile = self.profiles_by_id.get(user.id, Profile())
        return replace(profile, has_identity=self.is_linked(user))

    def put_profile(self, user: User, profile: Profile) -> None:
        """Replaces the profile of *user*, except for `last_seen_at`."""
        seen = self.profile(user).last_seen_at
        self.profiles_by_id[user.id] = replace(profile, last_seen_at=seen)
        self.keys.append(f"user:{user.name}")

    def api_key(self, id: str) -> ApiKey | None:
        """Returns the API key *id*, or None."""
        key = self.keys_by_id.get(id)
        if key is None:
            return None
        now, then = self.database_ids(), self.scopes[id]
        grants = {
            on: key.scope.grants[on]
            for on, database in now.items()
            if on in then and then[on] == database
        }
        return replace(key, scope=replace(key.scope, grants=MappingProxyType(grants)))

    def api_keys(self, user: User) -> Sequence[ApiKey]:
        """Returns the keys of *user* that are not revoked, in order of creation."""
        return [key for key in self.all_api_keys() if key.owner_id == user.id]

    def all_api_keys(self) -> list[ApiKey]:
        """Returns all keys that are not revoked, in order of creation."""
        found = map(self.api_key, self.keys_by_id)
        return [key for key in found if key is not None and not key.revoked_at]

    def add_api_key(self, key: ApiKey) -> str:
        """Adds *key*, whose id is ignored, and returns its new id."""
        id, there = self.new_id(), self.database_ids()
        self.keys_by_id[id] = replace(key, id=id)
        self.scopes[id] = {on: there[on] for on in key.scope.grants if on in there}
        self.keys.append(f"user:{key.owner}")
        return id

    def put_api_key(self, key: ApiKey) -> None:
        """Replaces the stored key with the id of *key*, except for its owner and scope."""
        self.keys_by_id[key.id] = replace(key, scope=self.keys_by_id[key.id].scope)
        self.keys.append(f"user:{key.owner}")

    def session(self, id: str) -> Session | None:
        """Returns the session *id*, or None."""
        return self.sessions_by_id.get(id)

    def sessions(self, user: User) -> Sequence[Session]:
        """Returns all sessions of *user*, also revoked ones, in order of creation."""
        return [it for it in self.sessions_by_id.values() if it.user_id == user.id]

    def add_session(self, session: Session) -> str:
        """Adds *session*, whose id is ignored, and returns its new id."""
        id = self.new_id()
        self.sessions_by_id[id] = replace(session, id=id)
        self.keys.append(f"user:{session.user}")
        return id

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*."""
        self.sessions_by_id[session.id] = session
        self.keys.append(f"user:{session.user}")

    def drop_session(self, session: Session) -> None:
        """Deletes *session*."""
        del self.sessions_by_id[session.id]
        self.tokens_by_session.pop(session.id, None)
        self.keys.append(f"user:{session.user}")

    def drop_account(self, user: User) -> None:
        """Deletes the profile, the keys and the sessions of *user*."""
        self.profiles_by_id.pop(user.id, None)
        for key in [it for it in self.keys_by_id.values() if it.owner_id == user.id]:
            del self.keys_by_id[key.id], self.scopes[key.id]
        for session in self.sessions(user):
            del self.sessions_by_id[session.id]
            self.tokens_by_session.pop(session.id, None)

    # ---- UpkeepTx

    def key_by_hash(self, hash: bytes) -> ApiKey | None:
        """Returns the key with this current or previous hash, or None."""
        found = _with_hash(self.keys_by_id, hash)
        return self.api_key(found.id) if found is not None else None

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        return _with_hash(self.sessions_by_id, hash)

    def drop_sessions(self, sessions: Sequence[Session]) -> None:
        """Deletes *sessions*, which have ended."""
        for session in sessions:
            self.sessions_by_id.pop(session.id, None)
            self.tokens_by_session.pop(session.id, None)

    def touch_user(self, id: str, at: int) -> None:
        """Advances `last_seen_at` of the user *id* to *at*. Skips an unknown user."""
        if self.user_by_id(id) is not None:
            profile = self.profiles_by_id.get(id, Profile())
            seen = max(at, profile.last_seen_at)
            self.profiles_by_id[id] = replace(profile, last_seen_at=seen)

    def touch_api_key(self, id: str, at: int, address: str, *, previous: bool) -> None:
        """Advances the last use of the key *id* to *at*; also of its *previous* text."""
        key = self.keys_by_id.get(id)
        if key is not None:
            self.keys_by_id[id] = replace(
                key,
                last_seen_at=max(at, key.last_seen_at),
                last_address=address,
                previous_seen_at=max(at, key.previous_seen_at)
                if previous
                else key.previous_seen_at,
            )

    def imported_api_keys(self, number: int) -> Sequence[ApiKey]:
        """Returns the imported keys with *number* that were never used, in order of creation."""
        mark = imported_mark(number, "")
        ids = [id for id, key in self.keys_by_id.items() if key.imported.startswith(mark)]
        return [key for id in ids if (key := self.api_key(id)) is not None]

    def settle_api_key(self, key: ApiKey, hash: bytes, prefix: str) -> None:
        """Stores *hash* and *prefix* of the text of the imported *key*."""
        stored = self.keys_by_id.get(key.id)
        if stored is not None and stored.imported and stored.imported == key.imported:
            self.keys_by_id[key.id] = replace(stored, hash=hash, prefix=prefix, imported="")

    def counts(self, limits: SessionLimits, now: int) -> AccountCounts:
        """Returns the numbers of sessions and keys by their state at *now*."""
        return counts_of(self.sessions_by_id.values(), self.keys_by_id.values(), limits, now)

    def drop_revoked_api_keys(self, before: int) -> int:
        """Deletes keys that were revoked before the time *before*. Returns their number."""
        old = [key.id for key in self.keys_by_id.values() if 0 < key.revoked_at < before]
        for id in old:
            del self.keys_by_id[id], self.scopes[id]
        return len(old)


def counts_of(
    sessions: Iterable[Session], keys: Iterable[ApiKey], limits: SessionLimits, now: int
) -> AccountCounts:
    """Returns the numbers of *sessions* and *keys* by their state at *now*."""
    ends = [key.expires_at for key in keys if not key.revoked_at]
    expired = sum(0 < end <= now for end in ends)
    soon = sum(now < end <= now + EXPIRING_SECONDS for end in ends)
    active = sum(session.refusal(limits, now) is None for session in sessions)
    return AccountCounts(active, len(ends) - expired, soon, expired)


def _with_hash(records: Mapping[str, T], hash: bytes) -> T | None:
    return next((it for it in records.values() if hash in (it.hash, it.previous)), None)


def page(records: Sequence[T], after: str, limit: int) -> Sequence[T]:
    """Returns at most *limit* of *records* after the id *after*."""
    return [it for it in records if int(it.id) > int(after or 0)][:limit]
