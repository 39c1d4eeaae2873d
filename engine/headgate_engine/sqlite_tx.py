"""One transaction on a SQLite store, and the rows that it shares with the readers."""

from types import MappingProxyType
from typing import Any

import apsw

from headgate_engine.database import Database
from headgate_engine.retention import RetentionPolicy
from headgate_engine.user import User
from headgate_grammar import Privilege

_PRIVILEGES = tuple(Privilege(value) for value in range(4))

# One statement, so that a reader sees a user and his grants of one moment.
_USERS = """
SELECT users.id, users.name, hash, admin, databases.name, privilege FROM users
LEFT JOIN grants ON grants.user_id = users.id
LEFT JOIN databases ON databases.id = grants.database_id
"""
_USER = f"{_USERS} WHERE users.name = ? ORDER BY databases.id"
_IDENTIFIED = f"""
{_USERS} WHERE users.id = (SELECT user_id FROM identities WHERE issuer = ? AND subject = ?)
ORDER BY databases.id
"""
_DATABASE = "SELECT id, name, policy, duration, replication, shard_duration FROM databases"


def read_user(connection: apsw.Connection, name: str) -> User | None:
    return _user(connection.execute(_USER, (name,)).fetchall())


def _user(rows: list[Any]) -> User | None:
    """The user of whom *rows* are: one for each grant, or one."""
    if not rows:
        return None
    id, name, hash, admin = rows[0][:4]
    grants = {row[4]: _PRIVILEGES[row[5]] for row in rows if row[4] is not None}
    return User(str(id), name, hash, bool(admin), MappingProxyType(grants))


def read_identified(connection: apsw.Connection, issuer: str, subject: str) -> User | None:
    return _user(connection.execute(_IDENTIFIED, (issuer, subject)).fetchall())


def count_admins(connection: apsw.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM users WHERE admin = 1").get
    return count


def read_database(connection: apsw.Connection, name: str) -> Database | None:
    for id, _, *policy in connection.execute(f"{_DATABASE} WHERE name = ?", (name,)):
        return Database(str(id), name, RetentionPolicy(*policy))
    return None


def read_databases(connection: apsw.Connection) -> list[Database]:
    return [
        Database(str(id), name, RetentionPolicy(*policy))
        for id, name, *policy in connection.execute(f"{_DATABASE} ORDER BY id")
    ]


class SqliteTx:
    """Keeps the promises of Tx on a connection that has begun a transaction.

    *keys* says what was touched.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.keys: list[str] = []

    def user(self, name: str) -> User | None:
        return read_user(self._connection, name)

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        self._connection.execute(
            "INSERT INTO users (name, hash, admin) VALUES (?, ?, ?)", (name, hash, int(admin))
        )
        self.keys.append(f"user:{name}")

    def put_user(self, user: User, *, hash: str, admin: bool) -> None:
        self._connection.execute(
            "UPDATE users SET hash = ?, admin = ? WHERE id = ?", (hash, int(admin), int(user.id))
        )
        self.keys.append(f"user:{user.name}")

    def drop_user(self, user: User) -> None:
        self._connection.execute("DELETE FROM users WHERE id = ?", (int(user.id),))
        self.keys.append(f"user:{user.name}")

    def admins(self) -> int:
        return count_admins(self._connection)

    def empty(self) -> bool:
        return not self._connection.execute("SELECT EXISTS (SELECT 1 FROM users)").get

    def identified(self, issuer: str, subject: str) -> User | None:
        return read_identified(self._connection, issuer, subject)

    def bound(self, user: User) -> bool:
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM identities WHERE user_id = ?)", (int(user.id),)
            ).get
        )

    def bind(self, user: User, issuer: str, subject: str) -> None:
        self._connection.execute(
            "INSERT INTO identities (issuer, subject, user_id) VALUES (?, ?, ?)",
            (issuer, subject, int(user.id)),
        )
        self.keys.append(f"user:{user.name}")

    def put_grant(self, user: User, database: Database, privilege: Privilege) -> None:
        self._connection.execute(
            "INSERT INTO grants VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET privilege = excluded.privilege",
            (int(user.id), int(database.id), int(privilege)),
        )
        self.keys.append(f"user:{user.name}")

    def database(self, name: str) -> Database | None:
        return read_database(self._connection, name)

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
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
        self._connection.execute("DELETE FROM databases WHERE id = ?", (int(database.id),))
        self.keys.append(f"database:{database.name}")
