"""The parts of the interface `Store` for accounts: profiles, API keys and sessions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from headgate_engine.model.account_counts import AccountCounts
from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionLimits
from headgate_engine.model.user import User, UserStatus
from headgate_engine.stores.identity_base import IdentityUpkeepTx

T = TypeVar("T")


class AccountTx(Protocol):
    """The methods of a transaction that read and change accounts. See `Tx`."""

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        ...

    def put_status(self, user: User, status: UserStatus) -> None:
        """Sets whether *user* may log in."""
        ...

    def profile(self, user: User) -> Profile:
        """Returns the profile of *user*."""
        ...

    def put_profile(self, user: User, profile: Profile) -> None:
        """Replaces the profile of *user*, except for `last_seen_at` and `has_identity`."""
        ...

    def api_key(self, id: str) -> ApiKey | None:
        """Returns the API key *id*, or None."""
        ...

    def api_keys(self, user: User) -> Sequence[ApiKey]:
        """Returns the keys of *user* that are not revoked, in order of creation."""
        ...

    def add_api_key(self, key: ApiKey) -> str:
        """Adds *key*, whose id is ignored, and returns its new id.

        The databases in its scope must exist. A database of the same name that is created after
        them is not in the scope.
        """
        ...

    def put_api_key(self, key: ApiKey) -> None:
        """Replaces the stored key with the id of *key*, except for its owner and scope."""
        ...

    def session(self, id: str) -> Session | None:
        """Returns the session *id*, or None."""
        ...

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        ...

    def sessions(self, user: User) -> Sequence[Session]:
        """Returns all sessions of *user*, also revoked ones, in order of creation."""
        ...

    def add_session(self, session: Session) -> str:
        """Adds *session*, whose id is ignored, and returns its new id."""
        ...

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*, except for its user."""
        ...

    def drop_session(self, session: Session) -> None:
        """Deletes *session*."""
        ...


class UpkeepTx(IdentityUpkeepTx, Protocol):
    """The writes that decide no right: they make no revision and no audit record."""

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        ...

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*, except for its user."""
        ...

    def drop_sessions(self, sessions: Sequence[Session]) -> None:
        """Deletes *sessions*, which have ended."""
        ...

    def touch_user(self, id: str, at: int) -> None:
        """Advances `last_seen_at` of the user *id* to *at*. Skips an unknown user."""
        ...

    def touch_api_key(self, id: str, at: int, address: str, *, previous: bool) -> None:
        """Advances the last use of the key *id* to *at*; also of its *previous* text."""
        ...

    def settle_api_key(self, key: ApiKey, hash: bytes, prefix: str) -> None:
        """Stores *hash* and *prefix* of the text of the imported *key*, and clears `imported`.

        Skips a key whose `imported` has changed. Rights and life of the key stay.
        """
        ...

    def drop_revoked_api_keys(self, before: int) -> int:
        """Deletes keys that were revoked before the time *before*. Returns their number."""
        ...


class AccountReads(Protocol):
    """The reads of a store for accounts. Each may raise StoreUnavailable, as those of `Store`."""

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        ...

    def users_by_name(
        self, contains: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[User]:
        """Returns at most *limit* users with their grants, sorted by name.

        The result starts after the name *after*. Names have *contains* in them.
        """
        ...

    def user_count(self) -> int:
        """Returns the number of users."""
        ...

    def profiles(self, ids: Sequence[str]) -> Mapping[str, Profile]:
        """Returns the profiles of the users with these *ids*. Skips unknown ids."""
        ...

    def api_key_by_hash(self, hash: bytes) -> ApiKey | None:
        """Returns the key with this current or previous hash, as up to date as `user`, or None."""
        ...

    def api_keys(
        self, after: str = "", limit: int = 1000, *, owner_id: str = ""
    ) -> Sequence[ApiKey]:
        """Returns at most *limit* keys that are not revoked, in order of creation.

        The result starts after the key id *after*. With *owner_id*, it has that user's keys.
        """
        ...

    def imported_api_keys(self, number: int) -> Sequence[ApiKey]:
        """Returns the imported keys with *number* that were never used, in order of creation.

        The result has revoked keys, too.
        """
        ...

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None.

        A revocation is as up to date as `user`. The result of upkeep may be 50 ms late.
        """
        ...

    def sessions(
        self, after: str = "", limit: int = 1000, *, user_id: str = ""
    ) -> Sequence[Session]:
        """Returns at most *limit* sessions in order of creation, also ended ones.

        The result starts after the session id *after*. With *user_id*, it has that user's sessions.
        """
        ...

    def account_counts(self, limits: SessionLimits, now: int) -> AccountCounts:
        """Returns the numbers of sessions and keys by their state at the Unix time *now*."""
        ...

    def upkeep(self, change: Callable[[UpkeepTx], T]) -> T:
        """Runs *change* in one transaction without a revision and without an audit record.

        Caches of users, grants and keys stay valid. On return the change is durable. Returns the
        result of *change*, which must have no side effects.

        Raises:
            StoreUnavailable: the store could not write; nothing was done.
            OutcomeUnknown: the write was interrupted; the change may have been made.
        """
        ...
