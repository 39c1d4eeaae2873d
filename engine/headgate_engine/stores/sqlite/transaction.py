"""Changes users, grants and databases of a SQLite user store with SQL, in one transaction."""

import json
import time
from collections.abc import Collection, Sequence

from headgate_engine.model.database import Database
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.user import User
from headgate_engine.stores.sqlite import reads
from headgate_engine.stores.sqlite.account_changes import SqliteAccountTx
from headgate_engine.stores.sqlite.identity_changes import SqliteIdentityTx
from headgate_grammar import Privilege


class SqliteTx(SqliteAccountTx, SqliteIdentityTx):
    """Implements `Tx` on a SQLite connection inside a transaction. Methods raise apsw.Error.

    *keys* are the users and databases changed so far, as in `Change.keys`.
    """

    def user(self, name: str) -> User | None:
        """Returns the user *name*, or None."""
        return reads.read_user(self._connection, name)

    def add_user(self, name: str, hash: str, admin: bool) -> None:
        """Adds a user with a new id and no grants."""
        now = int(time.time())
        self._connection.execute(
            "INSERT INTO users (name, hash, admin, created_at, password_changed_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (name, hash, int(admin), now, now),
        )
        self.keys.append(f"user:{name}")

    def put_user(
        self, user: User, *, hash: str, admin: bool, password_changed_at: int | None = None
    ) -> None:
        """Sets the hash, the admin flag and the time of the password of *user*."""
        changed = user.password_changed_at if password_changed_at is None else password_changed_at
        self._connection.execute(
            "UPDATE users SET hash = ?, admin = ?, password_changed_at = ? WHERE id = ?",
            (hash, int(admin), changed, int(user.id)),
        )
        self.keys.append(f"user:{user.name}")

    def drop_user(self, user: User) -> None:
        """Drops *user*, and stores the time of the drop for the identities of *user*."""
        self._drop_identities(user)
        self._connection.execute("DELETE FROM users WHERE id = ?", (int(user.id),))
        self.keys.append(f"user:{user.name}")

    def admin_count(self) -> int:
        """Returns the number of active users with the admin flag."""
        return reads.count_admins(self._connection)

    def empty(self) -> bool:
        """Returns whether there are no users."""
        return not self._connection.execute("SELECT EXISTS (SELECT 1 FROM users)").get

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
        return reads.read_database(self._connection, name)

    def add_database(self, name: str, policy: RetentionPolicy) -> None:
        """Adds a database with a new id."""
        self._connection.execute(
            "INSERT INTO databases (name, default_policy) VALUES (?, ?)", (name, policy.name)
        )
        self._add_policies(self._connection.last_insert_rowid(), (policy,))
        self.keys.append(f"database:{name}")

    def put_policies(
        self, database: Database, policies: Sequence[RetentionPolicy], default: str
    ) -> None:
        """Replaces the retention policies of *database*, and the name of the default policy."""
        id = int(database.id)
        self._connection.execute("DELETE FROM retention_policies WHERE database_id = ?", (id,))
        self._add_policies(id, policies)
        self._connection.execute(
            "UPDATE databases SET default_policy = ? WHERE id = ?", (default, id)
        )
        self.keys.append(f"database:{database.name}")

    def put_exclusive_stores(self, database: Database, stores: Collection[str]) -> None:
        """Sets the upstream stores that had no data of *database* when it was created."""
        self._connection.execute(
            "UPDATE databases SET exclusive_stores = ? WHERE id = ?",
            (json.dumps(sorted(stores)), int(database.id)),
        )
        self.keys.append(f"database:{database.name}")

    def _add_policies(self, database_id: int, policies: Sequence[RetentionPolicy]) -> None:
        for place, policy in enumerate(policies):
            self._connection.execute(
                "INSERT INTO retention_policies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(database_id, place, policy.name),
                    *(policy.duration, policy.replication, policy.shard_duration),
                    *(policy.future_limit, policy.past_limit),
                ),
            )

    def drop_database(self, database: Database) -> None:
        """Drops *database*. Its grants stay, but refer to no database."""
        self._connection.execute("DELETE FROM databases WHERE id = ?", (int(database.id),))
        self.keys.append(f"database:{database.name}")
