"""Known logins in memory: the networks from which users have logged in."""

from collections.abc import Callable, Collection, Sequence

from headgate_engine.stores.base import MAX_KNOWN_LOGINS, KnownLogin


class MemoryLogins:
    """Known logins of the users with the ids that *user_ids* returns. Not thread-safe."""

    def __init__(self, user_ids: Callable[[], Collection[str]]) -> None:
        self._user_ids = user_ids
        self._logins: dict[tuple[str, str, str], KnownLogin] = {}

    def remember(self, logins: Sequence[KnownLogin]) -> None:
        """Adds new *logins*, advances `last_seen` of stored ones, and keeps the newest 100,000."""
        for login in logins:
            key = (login.user_id, login.network, login.password_version)
            known = self._logins.get(key)
            if known is None or known.last_seen < login.last_seen:
                self._logins[key] = login
        newest = self.newest(MAX_KNOWN_LOGINS)
        self._logins = {(it.user_id, it.network, it.password_version): it for it in newest}

    def newest(self, limit: int) -> Sequence[KnownLogin]:
        """Returns at most *limit* logins of existing users, the newest first."""
        there = self._user_ids()
        found = [login for login in self._logins.values() if login.user_id in there]
        return sorted(found, key=lambda login: login.last_seen, reverse=True)[:limit]
