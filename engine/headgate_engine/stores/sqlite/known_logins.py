"""Writes, reads and prunes the networks from which users have logged in, in SQLite."""

from collections.abc import Sequence

import apsw

from headgate_engine.stores.base import MAX_KNOWN_LOGINS, KnownLogin

# The SELECT skips a user that was dropped meanwhile. max() keeps the newest time: another worker
# process may write an older login later.
_UPSERT_LOGIN = """
INSERT INTO known_logins SELECT id, ?, ?, ? FROM users WHERE id = ?
ON CONFLICT DO UPDATE SET seen = max(seen, excluded.seen)
"""
_DELETE_OLDEST_LOGINS = """
DELETE FROM known_logins WHERE (user_id, network, mark) IN (
    SELECT user_id, network, mark FROM known_logins ORDER BY seen DESC LIMIT -1 OFFSET ?
)
"""
_SELECT_NEWEST_LOGINS = (
    "SELECT user_id, network, mark, seen FROM known_logins ORDER BY seen DESC LIMIT ?"
)


def write_logins(connection: apsw.Connection, logins: Sequence[KnownLogin]) -> None:
    """Adds new *logins*, advances `last_seen` of stored ones, and keeps the newest 100,000."""
    connection.executemany(
        _UPSERT_LOGIN,
        [(it.network, it.password_version, it.last_seen, int(it.user_id)) for it in logins],
    )
    connection.execute(_DELETE_OLDEST_LOGINS, (MAX_KNOWN_LOGINS,))


def read_logins(connection: apsw.Connection, limit: int) -> list[KnownLogin]:
    """Returns at most *limit* logins, the newest first."""
    rows = connection.execute(_SELECT_NEWEST_LOGINS, (limit,))
    return [KnownLogin(str(user_id), network, mark, seen) for user_id, network, mark, seen in rows]
