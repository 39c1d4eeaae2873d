"""Reads users, grants and databases of a SQLite user store with SQL."""

import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import apsw

from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import User, UserStatus, is_encodable
from headgate_engine.stores.base import Change, Table
from headgate_grammar import Privilege

_decode_json = json.JSONDecoder().raw_decode
_PRIVILEGES = tuple(Privilege(value) for value in range(4))
_STATUSES = tuple(UserStatus)

# One SELECT, so that a user and the user's grants are of one snapshot. One row per user, because a
# further row costs more time than a longer row.
_SELECT_USERS = """
SELECT id, name, hash, admin, status, created_at, password_changed_at, (
    SELECT json_group_array(json_array(databases.id, databases.name, privilege))
    FROM grants JOIN databases ON databases.id = database_id WHERE user_id = users.id
) FROM users
"""
_SELECT_USER = f"{_SELECT_USERS} WHERE name = ?"
_SELECT_USER_BY_ID = f"{_SELECT_USERS} WHERE id = ?"
_SELECT_USERS_BY_NAME = f"{_SELECT_USERS} WHERE name IN (SELECT value FROM json_each(?))"
_SELECT_USER_PAGE = f"{_SELECT_USERS} WHERE id > ? ORDER BY id LIMIT ?"
# The inner SELECT reads the index of names alone.
_SELECT_USER_PAGE_BY_NAME = f"""
{_SELECT_USERS} WHERE id IN (
    SELECT id FROM users WHERE name > ? AND instr(name, ?) ORDER BY name LIMIT ?
) ORDER BY name
"""
_SELECT_USER_PAGE_ON = f"""
{_SELECT_USERS} WHERE id > ? AND (admin OR EXISTS (
    SELECT 1 FROM grants WHERE user_id = users.id AND privilege > 0
    AND database_id = (SELECT id FROM databases WHERE name = ?)
)) ORDER BY id LIMIT ?
"""
_SELECT_USER_BY_IDENTITY = f"""
{_SELECT_USERS} WHERE id = (SELECT user_id FROM identities WHERE issuer = ? AND subject = ?)
"""
_SELECT_USERS_BY_VERIFIED_EMAIL = f"""
{_SELECT_USERS} WHERE id IN (
    SELECT user_id FROM profiles WHERE email_verified = 1 AND lower(email) = lower(?)
) ORDER BY id LIMIT 2
"""
_SELECT_PENDING_USERS = f"{_SELECT_USERS} WHERE status = 2 ORDER BY id"
_SELECT_USERS_OF_ISSUER = f"""
{_SELECT_USERS} WHERE id > ? AND id IN (SELECT user_id FROM identities WHERE issuer = ?)
ORDER BY id LIMIT ?
"""
_SELECT_IDENTITY_DROPPED_AT = (
    "SELECT dropped FROM dropped_identities WHERE issuer = ? AND subject = ?"
)
_SELECT_DATABASES = """
SELECT id, name, default_policy, exclusive_stores, (
    SELECT json_group_array(json_array(
        place, name, duration, replication, shard_duration, future_limit, past_limit
    ))
    FROM retention_policies WHERE database_id = databases.id
) FROM databases
"""


def read_user(connection: apsw.Connection, name: str) -> User | None:
    """Returns the user *name*, or None."""
    if not (name.isascii() or is_encodable(name)):
        return None
    row = connection.execute(_SELECT_USER, (name,)).get
    return _user_from_row(row) if row is not None else None


def read_user_by_id(connection: apsw.Connection, id: str) -> User | None:
    """Returns the user with the id *id*, or None."""
    row = connection.execute(_SELECT_USER_BY_ID, (int(id),)).get
    return _user_from_row(row) if row is not None else None


def read_users(connection: apsw.Connection, names: Sequence[str]) -> list[User]:
    """Returns the users with these *names*, from one snapshot. Skips unknown names."""
    return [
        _user_from_row(row)
        for row in connection.execute(_SELECT_USERS_BY_NAME, (json.dumps(names),))
    ]


def read_user_page(
    connection: apsw.Connection, after: str, limit: int, database: str
) -> list[User]:
    """Returns at most *limit* users after the user id *after*, in order of creation.

    With *database*, only those with access to it.
    """
    start = int(after or 0)
    if database:
        rows = connection.execute(_SELECT_USER_PAGE_ON, (start, database, limit))
    else:
        rows = connection.execute(_SELECT_USER_PAGE, (start, limit))
    return [_user_from_row(row) for row in rows]


def read_user_page_by_name(
    connection: apsw.Connection, contains: str, after: str, limit: int
) -> list[User]:
    """Returns at most *limit* users with *contains* in the name, sorted by name, after *after*."""
    if not (is_encodable(contains) and is_encodable(after)):
        return []
    rows = connection.execute(_SELECT_USER_PAGE_BY_NAME, (after, contains, limit))
    return [_user_from_row(row) for row in rows]


def count_users(connection: apsw.Connection) -> int:
    """Returns the number of users."""
    count: int = connection.execute("SELECT count(*) FROM users").get
    return count


def read_changes(connection: apsw.Connection, since: int) -> list[Change] | None:
    """Returns the changes after the revision *since*, or None if some are deleted already."""
    rows: list[Any] = connection.execute(
        "SELECT rev, keys FROM changes WHERE rev > ? ORDER BY rev", (since,)
    ).fetchall()
    newest = rows[-1][0] if rows else since
    if newest - since != len(rows):
        return None
    return [Change(revision, tuple(json.loads(keys))) for revision, keys in rows]


def _user_from_row(row: Any) -> User:
    id, name, hash, admin, status, created, changed, grants = row
    # Sorted by database id, which is the order of creation.
    held = {on: _PRIVILEGES[privilege] for _, on, privilege in sorted(_decode_json(grants)[0])}
    return User(
        *(str(id), name, hash, bool(admin), MappingProxyType(held)),
        *(_STATUSES[status], created, changed),
    )


def read_user_by_identity(connection: apsw.Connection, issuer: str, subject: str) -> User | None:
    """Returns the user linked to the identity *subject* of *issuer*, or None."""
    row = connection.execute(_SELECT_USER_BY_IDENTITY, (issuer, subject)).get
    return _user_from_row(row) if row is not None else None


def read_users_by_verified_email(connection: apsw.Connection, email: str) -> list[User]:
    """Returns at most two users with the verified address *email*, in any case of letters."""
    rows = connection.execute(_SELECT_USERS_BY_VERIFIED_EMAIL, (email,))
    return [_user_from_row(row) for row in rows]


def read_pending_users(connection: apsw.Connection) -> list[User]:
    """Returns the users that wait for approval, in order of creation."""
    return [_user_from_row(row) for row in connection.execute(_SELECT_PENDING_USERS)]


def read_users_of_issuer(
    connection: apsw.Connection, issuer: str, after: str, limit: int
) -> list[User]:
    """Returns at most *limit* users with an identity of *issuer*, after the user id *after*."""
    rows = connection.execute(_SELECT_USERS_OF_ISSUER, (int(after or 0), issuer, limit))
    return [_user_from_row(row) for row in rows]


def read_identity_dropped_at(
    connection: apsw.Connection, issuer: str, subject: str
) -> float | None:
    """Returns the Unix time when a user of this identity was last dropped, or None."""
    dropped: float | None = connection.execute(_SELECT_IDENTITY_DROPPED_AT, (issuer, subject)).get
    return dropped


def has_no_users(connection: apsw.Connection) -> bool:
    """Returns whether there are no users."""
    return bool(connection.execute("SELECT NOT EXISTS (SELECT 1 FROM users)").get)


def is_small(connection: apsw.Connection, table: Table, limit: int) -> bool:
    """Returns whether *table* (`users` or `databases`) has at most *limit* rows."""
    # In the order of a list: an index may be damaged where the table is whole.
    count = f"SELECT count(*) FROM (SELECT id FROM {table} ORDER BY id LIMIT ?)"
    return bool(connection.execute(count, (limit + 1,)).get <= limit)


def count_admins(connection: apsw.Connection) -> int:
    """Returns the number of active users with the admin flag."""
    query = "SELECT count(*) FROM users WHERE admin = 1 AND status = 0"
    count: int = connection.execute(query).get
    return count


def read_database(connection: apsw.Connection, name: str) -> Database | None:
    """Returns the database *name*, or None."""
    if not (name.isascii() or is_encodable(name)):
        return None
    row = connection.execute(f"{_SELECT_DATABASES} WHERE name = ?", (name,)).get
    return _database_from_row(row) if row is not None else None


def read_databases(connection: apsw.Connection) -> list[Database]:
    """Returns all databases in order of creation."""
    return [
        _database_from_row(row) for row in connection.execute(f"{_SELECT_DATABASES} ORDER BY id")
    ]


def _database_from_row(row: Any) -> Database:
    id, name, default, stores, encoded = row
    policies = tuple(RetentionPolicy(*it) for _, *it in sorted(_decode_json(encoded)[0]))
    return Database(str(id), name, policies, default, frozenset(json.loads(stores)))
