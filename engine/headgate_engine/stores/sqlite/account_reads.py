"""Reads profiles, API keys and sessions of a SQLite user store with SQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import apsw

from headgate_engine.model.account_counts import EXPIRING_SECONDS, AccountCounts
from headgate_engine.model.api_key import ApiKey, KeyScope
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionLimits
from headgate_grammar import Privilege

KEY_COLUMNS = (
    *("user_id", "name", "prefix", "hash", "created_at", "created_by", "rotated_at"),
    *("expires_at", "revoked_at", "previous", "previous_until", "previous_seen_at"),
    *("last_seen_at", "last_address", "admin", "everywhere", "imported"),
)
SESSION_COLUMNS = (
    *("user_id", "hash", "previous", "seen", "seen_at", "confirmed_at", "created_at"),
    *("rotated_at", "ends_at", "revoked_at", "reason", "method", "provider", "address", "agent"),
    *("auth_at", "sid", "access_expires_at"),
)
_decode_json = json.JSONDecoder().raw_decode
_SELECT_KEYS = f"""
SELECT api_keys.id, users.name, (
    SELECT json_group_array(json_array(databases.id, databases.name, privilege))
    FROM api_key_grants JOIN databases ON databases.id = database_id WHERE key_id = api_keys.id
), {", ".join(f"api_keys.{column}" for column in KEY_COLUMNS)}
FROM api_keys JOIN users ON users.id = user_id
"""
_SELECT_KEY_BY_HASH = f"{_SELECT_KEYS} WHERE api_keys.hash = ?1 OR api_keys.previous = ?1"
# The text of `imported` begins with the number and a colon. SQLite takes the partial index only for
# the condition of the index itself; it sorts a semicolon directly after a colon.
_SELECT_IMPORTED_KEYS = f"""{_SELECT_KEYS} WHERE api_keys.imported <> ''
AND api_keys.imported >= ?1 || ':' AND api_keys.imported < ?1 || ';' ORDER BY api_keys.id
"""
_SELECT_SESSIONS = f"""
SELECT sessions.id, users.name, {", ".join(f"sessions.{column}" for column in SESSION_COLUMNS)}
FROM sessions JOIN users ON users.id = user_id
"""
_SELECT_SESSION_BY_HASH = f"{_SELECT_SESSIONS} WHERE sessions.hash = ?1 OR sessions.previous = ?1"
_SELECT_PROFILES = """
SELECT users.id, coalesce(email, ''), coalesce(email_verified, 0), coalesce(full_name, ''),
    coalesce(updated_at, 0), coalesce(last_seen_at, 0),
    EXISTS (SELECT 1 FROM identities WHERE identities.user_id = users.id)
FROM users LEFT JOIN profiles ON profiles.user_id = users.id
WHERE users.id IN (SELECT value FROM json_each(?))
"""


def read_profiles(connection: apsw.Connection, ids: Sequence[str]) -> Mapping[str, Profile]:
    """Returns the profiles of the users with these *ids*, by id. Skips unknown ids."""
    rows = connection.execute(_SELECT_PROFILES, (json.dumps([int(id) for id in ids]),))
    return {
        str(id): Profile(email, bool(verified), full_name, updated, seen, bool(linked))
        for id, email, verified, full_name, updated, seen, linked in rows
    }


def read_key_by_hash(connection: apsw.Connection, hash: bytes) -> ApiKey | None:
    """Returns the key with this current or previous hash, or None."""
    return _first_key(connection.execute(_SELECT_KEY_BY_HASH, (hash,)))


def read_key(connection: apsw.Connection, id: str) -> ApiKey | None:
    """Returns the key *id*, or None."""
    return _first_key(connection.execute(f"{_SELECT_KEYS} WHERE api_keys.id = ?", (int(id),)))


def read_keys(connection: apsw.Connection, after: str, limit: int, owner_id: str) -> list[ApiKey]:
    """Returns at most *limit* keys after the id *after* that are not revoked.

    With *owner_id*, only that user's keys.
    """
    where = "WHERE api_keys.revoked_at = 0 AND api_keys.id > ?"
    values = [int(after or 0), int(owner_id or 0), limit]
    owned = "AND user_id = ?" if owner_id else "AND ? = 0"
    query = f"{_SELECT_KEYS} {where} {owned} ORDER BY api_keys.id LIMIT ?"
    return [_key_from_row(row) for row in connection.execute(query, values)]


def read_all_keys(connection: apsw.Connection) -> list[ApiKey]:
    """Returns all keys, also revoked ones, in order of creation."""
    return [_key_from_row(row) for row in connection.execute(f"{_SELECT_KEYS} ORDER BY 1")]


def read_imported_keys(connection: apsw.Connection, number: int) -> list[ApiKey]:
    """Returns the imported keys with *number* that were never used, in order of creation."""
    return [_key_from_row(row) for row in connection.execute(_SELECT_IMPORTED_KEYS, (str(number),))]


def _first_key(rows: Iterable[Any]) -> ApiKey | None:
    return next((_key_from_row(row) for row in rows), None)


def _key_from_row(row: Any) -> ApiKey:
    id, owner, encoded, *columns = row
    values = dict(zip(KEY_COLUMNS, columns, strict=True))
    # Sorted by database id, which is the order of creation.
    grants = {on: Privilege(value) for _, on, value in sorted(_decode_json(encoded)[0])}
    scope = KeyScope(
        bool(values.pop("admin")),
        Privilege(values.pop("everywhere")),
        MappingProxyType(grants),
    )
    user_id, previous = str(values.pop("user_id")), values.pop("previous") or b""
    return ApiKey(
        owner_id=user_id, owner=owner, id=str(id), scope=scope, previous=previous, **values
    )


def read_session_by_hash(connection: apsw.Connection, hash: bytes) -> Session | None:
    """Returns the session with this current or previous hash, or None."""
    return _first_session(connection.execute(_SELECT_SESSION_BY_HASH, (hash,)))


def read_session(connection: apsw.Connection, id: str) -> Session | None:
    """Returns the session *id*, or None."""
    query = f"{_SELECT_SESSIONS} WHERE sessions.id = ?"
    return _first_session(connection.execute(query, (int(id),)))


def read_sessions(
    connection: apsw.Connection, after: str, limit: int, user_id: str
) -> list[Session]:
    """Returns at most *limit* sessions after the id *after*; with *user_id*, that user's."""
    owned = "AND user_id = ?" if user_id else "AND ? = 0"
    query = f"{_SELECT_SESSIONS} WHERE sessions.id > ? {owned} ORDER BY sessions.id LIMIT ?"
    rows = connection.execute(query, (int(after or 0), int(user_id or 0), limit))
    return [_session_from_row(row) for row in rows]


def read_sessions_by_sid(connection: apsw.Connection, provider: str, sid: str) -> list[Session]:
    """Returns the sessions of *provider* that it calls *sid*."""
    query = f"{_SELECT_SESSIONS} WHERE sessions.provider = ? AND sessions.sid = ? ORDER BY 1"
    return [_session_from_row(row) for row in connection.execute(query, (provider, sid))]


def count_accounts(connection: apsw.Connection, limits: SessionLimits, now: int) -> AccountCounts:
    """Returns the numbers of sessions and keys by their state at *now*."""
    # The rule of `Session.ends`.
    (sessions,) = connection.execute(
        "SELECT count(*) FROM sessions WHERE revoked_at = 0"
        " AND max(rotated_at, seen_at) + ?1 > ?3 AND (?2 = 0 OR created_at + ?2 > ?3)"
        " AND (ends_at = 0 OR ends_at > ?3)",
        (limits.inactive, limits.lifetime, now),
    ).fetchone() or (0,)
    (keys, expired, soon) = connection.execute(
        "SELECT count(*), total(expires_at BETWEEN 1 AND ?1),"
        " total(expires_at > ?1 AND expires_at <= ?2) FROM api_keys WHERE revoked_at = 0",
        (now, now + EXPIRING_SECONDS),
    ).fetchone() or (0, 0, 0)
    return AccountCounts(sessions, keys - int(expired), int(soon), int(expired))


def _first_session(rows: Iterable[Any]) -> Session | None:
    return next((_session_from_row(row) for row in rows), None)


def _session_from_row(row: Any) -> Session:
    id, user, *columns = row
    values = dict(zip(SESSION_COLUMNS, columns, strict=True))
    user_id, previous = str(values.pop("user_id")), values.pop("previous") or b""
    seen = bool(values.pop("seen"))
    return Session(user_id=user_id, user=user, id=str(id), previous=previous, seen=seen, **values)
