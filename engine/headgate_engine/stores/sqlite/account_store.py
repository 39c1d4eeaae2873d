"""The part of the SQLite user store for profiles, API keys and sessions."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import apsw

from headgate_engine.model.account_counts import AccountCounts
from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionLimits
from headgate_engine.model.user import User
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.sqlite import account_reads, reads
from headgate_engine.stores.sqlite.account_changes import SqliteUpkeepTx
from headgate_engine.stores.sqlite.connection import refusing
from headgate_engine.stores.sqlite.read_cache import ReadCache

T = TypeVar("T")


class SqliteAccountReads:
    """Base class of `SqliteStore`: implements `AccountReads`.

    `_upkeep_mark` differs after each upkeep of this process, which its own readers see at once.
    """

    _upkeep_mark = b""

    def _read_cache(self) -> ReadCache:
        """Returns this thread's read cache, up to date unless this thread holds a snapshot."""
        raise NotImplementedError

    def _reader(self) -> apsw.Connection:
        """Returns this thread's read-only connection."""
        raise NotImplementedError

    def _transaction(self) -> AbstractContextManager[apsw.Connection]:
        """Returns a context that commits its writes at the end, or rolls back on an error."""
        raise NotImplementedError

    def user_by_id(self, id: str) -> User | None:
        with refusing("read"):
            return reads.read_user_by_id(self._reader(), id)

    def users_by_name(
        self, contains: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[User]:
        with refusing("read"):
            return reads.read_user_page_by_name(self._reader(), contains, after, limit)

    def user_count(self) -> int:
        with refusing("read"):
            return self._read_cache().derive("number of users", reads.count_users)

    def profiles(self, ids: Sequence[str]) -> Mapping[str, Profile]:
        with refusing("read"):
            return account_reads.read_profiles(self._reader(), ids)

    def api_key_by_hash(self, hash: bytes) -> ApiKey | None:
        with refusing("read"):
            cache = self._read_cache()
            found = cache.api_keys.get(hash)
            if found is None:
                found = account_reads.read_key_by_hash(cache.connection, hash)
                if found is not None:
                    cache.api_keys.put(hash, found)
            return found

    def api_keys(
        self, after: str = "", limit: int = 1000, *, owner_id: str = ""
    ) -> Sequence[ApiKey]:
        with refusing("read"):
            return account_reads.read_keys(self._reader(), after, limit, owner_id)

    def imported_api_keys(self, number: int) -> Sequence[ApiKey]:
        with refusing("read"):
            return account_reads.read_imported_keys(self._reader(), number)

    def session_by_hash(self, hash: bytes) -> Session | None:
        with refusing("read"):
            cache = self._read_cache()
            found = cache.sessions.get(hash)
            if found is None:
                found = account_reads.read_session_by_hash(cache.connection, hash)
                if found is not None:
                    cache.sessions.put(hash, found)
            return found

    def sessions(
        self, after: str = "", limit: int = 1000, *, user_id: str = ""
    ) -> Sequence[Session]:
        with refusing("read"):
            return account_reads.read_sessions(self._reader(), after, limit, user_id)

    def account_counts(self, limits: SessionLimits, now: int) -> AccountCounts:
        with refusing("read"):
            return account_reads.count_accounts(self._reader(), limits, now)

    def upkeep(self, change: Callable[[UpkeepTx], T]) -> T:
        with self._transaction() as connection:
            result = change(SqliteUpkeepTx(connection))
        self._upkeep_mark = secrets.token_bytes(8)
        return result
