"""Reads and changes users, grants and databases of a SQLite user store with SQL."""

import json
import time
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import apsw

from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import User
from headgate_engine.stores.base import DROPPED_IDENTITY_RETENTION_SECONDS, Table
from headgate_grammar import Privilege

_decode_json = json.JSONDecoder().raw_decode
_PRIVILEGES = tuple(Privilege(value) for value in range(4))

# One SELECT, so that a user and the user's grants are of one snapshot. One row per user, because a
# further row costs more time than a longer row.
_SELECT_USERS = """
SELECT id, name, hash, admin, (
    SELECT json_group_array(json_array(databases.id, databases.name, privilege))
    FROM grants JOIN databases ON databases.id = database_id WHERE user_id = users.id
) FROM users
"""
_SELECT_USER = f"{_SELECT_USERS} WHERE name = ?"
_SELECT_USERS_BY_NAME = f"{_SELECT_USERS} WHERE name IN (SELECT value FROM json_each(?))"
_SELECT_USER_BY_IDENTITY = f"""
{_SELECT_USERS} WHERE id = (SELECT user_id FROM identities WHERE issuer = ? AND subject = ?)
"""
_SELECT_IDENTITY_DROPPED_AT = (
    "SELECT dropped FROM dropped_identities WHERE issuer = ? AND subject = ?"
)
_INSERT_DROPPED_IDENTITY = """
INSERT INTO dropped_identities SELECT issuer, subject, ? FROM identities WHERE user_id = ?
ON CONFLICT DO UPDATE SET dropped = max(dropped, excluded.dropped)
"""
_SELECT_DATABASES = "SELECT id, name, policy, duration, replication, shard_duration FROM databases"


def read_user(connection: apsw.Connection, name: str) -> User | None:
    """Returns the user *name*, or None."""
    row = connection.execute(_SELECT_USER, (name,)).get
    return _user_from_row(row) if row is not None else None


def read_users(connection: apsw.Connection, names: Sequence[str]) -> list[User]:
    """Returns the users with these *names*, from one snapshot. Skips unknown names."""
    return [
        _user_from_row(row)
        for row in connection.execute(_SELECT_USERS_BY_NAME, (json.dumps(names),))
    ]


def _user_from_row(row: Any) -> User:
    id, name, hash, admin, grants = row
    # Sorted by database id, which is the order of creation.
    held = {on: _PRIVILEGES[privilege] for _, on, privilege in sorted(_decode_json(grants)[0])}
    return User(str(id), name, hash, bool(admin), MappingProxyType(held))


def read_user_by_identity(connection: apsw.Connection, issuer: str, subject: str) -> User | None:
    """Returns the user linked to the identity *subject* of *issuer*, or None."""
    row = connection.execute(_SELECT_USER_BY_IDENTITY, (issuer, subject)).get
    return _user_from_row(row) if row is not None else None


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
    """Returns the number of users with the admin flag."""
    count: int = connection.execute("SELECT count(*) FROM users WHERE admin = 1").get
    return count


def read_database(connection: apsw.Connection, name: str) -> Database | None:
    """Returns the database *name*, or None."""
    for id, _, *policy in connection.execute(f"{_SELECT_DATABASES} WHERE name = ?", (name,)):
        return Database(str(id), name, RetentionPolicy(*policy))
    return None


def read_databases(connection: apsw.Connection) -> list[Database]:
    """Returns all databases in order of creation."""
    return [
        Database(str(id), name, RetentionPolicy(*policy))
        for id, name, *policy in connection.execute(f"{_SELECT_DATABASES} ORDER BY id")
    ]


class SqliteTx:
    """Implements `Tx` on a SQLite connection inside a transaction. Methods raise apsw.Error.

    *keys* are the users and databases changed so far, as in `Change.keys`.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.keys: list[str] = []

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        return read_user(self._connection, name)

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds a user with a new id and no grants."""
        self._connection.execute(
            "INSERT INTO users (name, hash, admin) VALUES (?, ?, ?)", (name, hash, int(admin))
        )
        self.keys.append(f"user:{name}")

    def put_user(self, user: User, *, hash: str, admin: bool) -> None:
        """Sets the hash and the admin flag of *user*."""
        self._connection.execute(
            "UPDATE users SET hash = ?, admin = ? WHERE id = ?", (hash, int(admin), int(user.id))
        )
        self.keys.append(f"user:{user.name}")

    def drop_user(self, user: User) -> None:
        """Drops *user*. If an identity is linked to *user*, stores the time for that identity.

        Tokens of the identity that were issued earlier stay rejected. Also deletes times that are
        older than 400 days.
        """
        now = time.time()
        self._connection.execute(_INSERT_DROPPED_IDENTITY, (now, int(user.id)))
        self._connection.execute(
            "DELETE FROM dropped_identities WHERE dropped < ?",
            (now - DROPPED_IDENTITY_RETENTION_SECONDS,),
        )
        self._connection.execute("DELETE FROM users WHERE id = ?", (int(user.id),))
        self.keys.append(f"user:{user.name}")

    def admin_count(self) -> int:
        """Returns the number of users with the admin flag."""
        return count_admins(self._connection)

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return not self._connection.execute("SELECT EXISTS (SELECT 1 FROM users)").get

    def user_by_identity(self, issuer: str, subject: str) -> User | None:
        """Returns the user linked to the identity *subject* of *issuer*, or None."""
        return read_user_by_identity(self._connection, issuer, subject)

    def identity_dropped_at(self, issuer: str, subject: str) -> float | None:
        """Returns the Unix time when a user of this identity was last dropped, or None."""
        return read_identity_dropped_at(self._connection, issuer, subject)

    def is_linked(self, user: User) -> bool:
        """Returns whether an identity (issuer and subject of tokens) is linked to *user*."""
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM identities WHERE user_id = ?)", (int(user.id),)
            ).get
        )

    def link(self, user: User, issuer: str, subject: str) -> None:
        """Links the identity *subject* of *issuer* to *user*."""
        self._connection.execute(
            "INSERT INTO identities (issuer, subject, user_id) VALUES (?, ?, ?)",
            (issuer, subject, int(user.id)),
        )
        self.keys.append(f"user:{user.name}")

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        """Sets the privilege of *user* on *database*."""
        self._connection.execute(
            "INSERT INTO grants VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET privilege = excluded.privilege",
            (int(user.id), int(database.id), int(privilege)),
        )
        self.keys.append(f"user:{user.name}")

    def database(self, name: str) -> Database | None:
        """Returns the database *name*, or None."""
        return read_database(self._connection, name)

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds a database with a new id."""
        self._connection.execute(
            "INSERT INTO databases (name, policy, duration, replication, shard_duration)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                name,
                *(policy.name, policy.duration, policy.replication, policy.shard_duration),
            ),
        )
        self.keys.append(f"database:{name}")

    def drop_database(self, database: Database) -> None:
        """Drops *database*. Its grants stay, but refer to no database."""
        self._connection.execute("DELETE FROM databases WHERE id = ?", (int(database.id),))
        self.keys.append(f"database:{database.name}")
