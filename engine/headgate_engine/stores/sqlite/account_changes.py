"""Changes profiles, API keys and sessions of a SQLite user store with SQL."""

from collections.abc import Sequence

import apsw

from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session
from headgate_engine.model.user import User, UserStatus
from headgate_engine.stores.sqlite import account_reads, reads
from headgate_engine.stores.sqlite.account_reads import KEY_COLUMNS, SESSION_COLUMNS
from headgate_engine.stores.sqlite.identity_changes import SqliteIdentityUpkeepTx

_UNLIMITED = 1 << 40
_UPSERT_PROFILE = """
INSERT INTO profiles (user_id, email, email_verified, full_name, updated_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET email = excluded.email, email_verified = excluded.email_verified,
full_name = excluded.full_name, updated_at = excluded.updated_at
"""
# The SELECT skips a user that was dropped meanwhile.
_TOUCH_USER = """
INSERT INTO profiles (user_id, last_seen_at) SELECT id, ?1 FROM users WHERE id = ?2
ON CONFLICT DO UPDATE SET last_seen_at = max(last_seen_at, excluded.last_seen_at)
"""
_TOUCH_KEY = """
UPDATE api_keys SET last_seen_at = max(last_seen_at, ?1), last_address = ?2,
previous_seen_at = CASE WHEN ?3 THEN max(previous_seen_at, ?1) ELSE previous_seen_at END
WHERE id = ?4
"""
_SETTLE_KEY = """
UPDATE api_keys SET hash = ?, prefix = ?, imported = ''
WHERE id = ? AND imported = ? AND imported <> ''
"""


class SqliteAccountTx:
    """Implements `AccountTx` on *connection*. *keys* are the users changed so far."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.keys: list[str] = []

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        return reads.read_user_by_id(self._connection, id)

    def put_status(self, user: User, status: UserStatus) -> None:
        """Sets whether *user* may log in."""
        self._connection.execute(
            "UPDATE users SET status = ? WHERE id = ?", (int(status), int(user.id))
        )
        self.keys.append(f"user:{user.name}")

    def profile(self, user: User) -> Profile:
        """Returns the profile of *user*."""
        found = account_reads.read_profiles(self._connection, [user.id])
        return found.get(user.id, Profile())

    def put_profile(self, user: User, profile: Profile) -> None:
        """Replaces the profile of *user*, except for `last_seen_at`."""
        values = (profile.email, int(profile.email_verified), profile.full_name)
        self._connection.execute(_UPSERT_PROFILE, (int(user.id), *values, profile.updated_at))
        self.keys.append(f"user:{user.name}")

    def api_key(self, id: str) -> ApiKey | None:
        """Returns the API key *id*, or None."""
        return account_reads.read_key(self._connection, id)

    def api_keys(self, user: User) -> Sequence[ApiKey]:
        """Returns the keys of *user* that are not revoked, in order of creation."""
        return account_reads.read_keys(self._connection, "", _UNLIMITED, user.id)

    def add_api_key(self, key: ApiKey) -> str:
        """Adds *key*, whose id is ignored, and returns its new id."""
        insert(self._connection, "api_keys", KEY_COLUMNS, key_values(key))
        id = self._connection.last_insert_rowid()
        self._connection.executemany(
            "INSERT INTO api_key_grants SELECT ?, id, ? FROM databases WHERE name = ?",
            [(id, int(privilege), name) for name, privilege in key.scope.grants.items()],
        )
        self.keys.append(f"user:{key.owner}")
        return str(id)

    def put_api_key(self, key: ApiKey) -> None:
        """Replaces the stored key with the id of *key*, except for its owner and scope."""
        _update(self._connection, "api_keys", KEY_COLUMNS, key_values(key), key.id)
        self.keys.append(f"user:{key.owner}")

    def session(self, id: str) -> Session | None:
        """Returns the session *id*, or None."""
        return account_reads.read_session(self._connection, id)

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        return account_reads.read_session_by_hash(self._connection, hash)

    def sessions(self, user: User) -> Sequence[Session]:
        """Returns all sessions of *user*, also revoked ones, in order of creation."""
        return account_reads.read_sessions(self._connection, "", _UNLIMITED, user.id)

    def add_session(self, session: Session) -> str:
        """Adds *session*, whose id is ignored, and returns its new id."""
        insert(self._connection, "sessions", SESSION_COLUMNS, session_values(session))
        self.keys.append(f"user:{session.user}")
        return str(self._connection.last_insert_rowid())

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*, except for its user."""
        put_session(self._connection, session)
        self.keys.append(f"user:{session.user}")

    def drop_session(self, session: Session) -> None:
        """Deletes *session*."""
        self._connection.execute("DELETE FROM sessions WHERE id = ?", (int(session.id),))
        self.keys.append(f"user:{session.user}")


class SqliteUpkeepTx(SqliteIdentityUpkeepTx):
    """Implements `UpkeepTx` on *connection*, inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        return account_reads.read_session_by_hash(self._connection, hash)

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*, except for its user."""
        put_session(self._connection, session)

    def drop_sessions(self, sessions: Sequence[Session]) -> None:
        """Deletes *sessions*, which have ended."""
        self._connection.executemany(
            "DELETE FROM sessions WHERE id = ?", [(int(session.id),) for session in sessions]
        )

    def touch_user(self, id: str, at: int) -> None:
        """Advances `last_seen_at` of the user *id* to *at*. Skips an unknown user."""
        self._connection.execute(_TOUCH_USER, (at, int(id)))

    def touch_api_key(self, id: str, at: int, address: str, *, previous: bool) -> None:
        """Advances the last use of the key *id* to *at*; also of its *previous* text."""
        self._connection.execute(_TOUCH_KEY, (at, address, previous, int(id)))

    def settle_api_key(self, key: ApiKey, hash: bytes, prefix: str) -> None:
        """Stores *hash* and *prefix* of the text of the imported *key*."""
        self._connection.execute(_SETTLE_KEY, (hash, prefix, int(key.id), key.imported))

    def drop_revoked_api_keys(self, before: int) -> int:
        """Deletes keys that were revoked before the time *before*. Returns their number."""
        self._connection.execute(
            "DELETE FROM api_keys WHERE revoked_at > 0 AND revoked_at < ?", (before,)
        )
        return self._connection.changes()


def put_session(connection: apsw.Connection, session: Session) -> None:
    """Replaces the stored session with the id of *session*, except for its user."""
    _update(connection, "sessions", SESSION_COLUMNS, session_values(session), session.id)


def key_values(key: ApiKey) -> tuple[object, ...]:
    """Returns the values of *key* for KEY_COLUMNS."""
    flat = {
        "user_id": int(key.owner_id),
        "admin": int(key.scope.admin),
        "everywhere": int(key.scope.everywhere),
        "previous": key.previous or None,
    }
    return tuple(flat[column] if column in flat else getattr(key, column) for column in KEY_COLUMNS)


def session_values(session: Session) -> tuple[object, ...]:
    """Returns the values of *session* for SESSION_COLUMNS."""
    flat = {
        "user_id": int(session.user_id),
        "seen": int(session.seen),
        "previous": session.previous or None,
    }
    return tuple(
        flat[column] if column in flat else getattr(session, column) for column in SESSION_COLUMNS
    )


def insert(
    connection: apsw.Connection, table: str, columns: Sequence[str], values: Sequence[object]
) -> None:
    """Inserts a row with *values* in *columns* into *table*."""
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)


def _update(
    connection: apsw.Connection,
    table: str,
    columns: Sequence[str],
    values: Sequence[object],
    id: str,
) -> None:
    """Sets *columns* of the row *id* to *values*. The user stays."""
    settings = ", ".join(f"{column} = ?" for column in columns[1:])
    connection.execute(f"UPDATE {table} SET {settings} WHERE id = ?", (*values[1:], int(id)))
