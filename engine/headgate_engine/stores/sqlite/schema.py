"""The tables of a SQLite store, and the numbers that identify a store file."""

APPLICATION_ID = 0x48644774  # "HdGt"
VERSION = 7

# A denied attempt has revision 0. The partial index serves only to delete the oldest attempts.
AUDIT = """
CREATE TABLE audit (
    id        INTEGER PRIMARY KEY,
    rev       INTEGER NOT NULL CHECK (rev >= 0),
    time      TEXT NOT NULL,
    actor     TEXT NOT NULL,
    address   TEXT NOT NULL,
    statement TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    count     INTEGER NOT NULL DEFAULT 1 CHECK (count >= 1)
) STRICT;
CREATE INDEX audit_refused ON audit (id) WHERE rev = 0;
"""

# Identities of schema version 3. An identity is an account at an issuer of JWTs.
_IDENTITIES_3 = """
CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
"""

# The user of an identity, which is an account at an issuer or a provider. An identity has at most
# one user, and a user has at most one identity of an issuer.
IDENTITIES = """
CREATE TABLE identities (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL CHECK (subject <> ''),
    user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    linked_at INTEGER NOT NULL DEFAULT 0,
    UNIQUE (issuer, subject),
    UNIQUE (user_id, issuer)
) STRICT;
"""

# When the user of an identity was dropped, in Unix seconds. Older tokens stay rejected.
DROPPED_IDENTITIES = """
CREATE TABLE dropped_identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    dropped REAL NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_identities_dropped ON dropped_identities (dropped);
"""

# Networks of a user's logins, with the last time (`seen`) in Unix seconds. `mark` is
# `password_version(user)` at the login. Logins make no new revision.
KNOWN_LOGINS = """
CREATE TABLE known_logins (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    mark    TEXT NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (user_id, network, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_logins_seen ON known_logins (seen);
"""

# *place* is the order of creation. Durations are in nanoseconds.
RETENTION_POLICIES = """
CREATE TABLE retention_policies (
    database_id    INTEGER NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
    place          INTEGER NOT NULL,
    name           TEXT NOT NULL CHECK (name <> ''),
    duration       INTEGER NOT NULL CHECK (duration >= 0),
    replication    INTEGER NOT NULL CHECK (replication >= 1),
    shard_duration INTEGER NOT NULL CHECK (shard_duration > 0),
    future_limit   INTEGER NOT NULL CHECK (future_limit >= 0),
    past_limit     INTEGER NOT NULL CHECK (past_limit >= 0),
    PRIMARY KEY (database_id, place),
    UNIQUE (database_id, name)
) STRICT, WITHOUT ROWID;
"""

# What is known of a user beside name, password and rights. Times are Unix seconds; 0: unknown.
PROFILES = """
CREATE TABLE profiles (
    user_id        INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email          TEXT NOT NULL DEFAULT '',
    email_verified INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)),
    full_name      TEXT NOT NULL DEFAULT '',
    updated_at     INTEGER NOT NULL DEFAULT 0,
    last_seen_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX users_active_admin ON users (id) WHERE admin = 1 AND status = 0;
"""

# Hashes are those of the keys' and the cookies' texts, which are random.
API_KEYS = """
CREATE TABLE api_keys (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id          INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name             TEXT NOT NULL CHECK (name <> ''),
    prefix           TEXT NOT NULL,
    hash             BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    previous         BLOB UNIQUE CHECK (length(previous) = 32),
    previous_until   INTEGER NOT NULL,
    previous_seen_at INTEGER NOT NULL,
    admin            INTEGER NOT NULL CHECK (admin IN (0, 1)),
    everywhere       INTEGER NOT NULL CHECK (everywhere BETWEEN 0 AND 3),
    created_at       INTEGER NOT NULL,
    created_by       TEXT NOT NULL,
    rotated_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    revoked_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    last_address     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX api_keys_name ON api_keys (user_id, name) WHERE revoked_at = 0;

CREATE TABLE api_key_grants (
    key_id      INTEGER NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    database_id INTEGER NOT NULL,
    privilege   INTEGER NOT NULL CHECK (privilege BETWEEN 0 AND 3),
    PRIMARY KEY (key_id, database_id)
) STRICT, WITHOUT ROWID;
"""
SESSIONS = """
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    previous     BLOB UNIQUE CHECK (length(previous) = 32),
    seen         INTEGER NOT NULL CHECK (seen IN (0, 1)),
    seen_at      INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    rotated_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL,
    revoked_at   INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    method       TEXT NOT NULL,
    provider     TEXT NOT NULL,
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id, id);
"""

# What sessions have of the providers that people came by. The tokens are sealed by the server.
# A logout token (`used_tokens`) is valid once.
_SESSION_COLUMNS_7 = (
    ("auth_at", "INTEGER NOT NULL DEFAULT 0"),
    ("sid", "TEXT NOT NULL DEFAULT ''"),
    ("access_expires_at", "INTEGER NOT NULL DEFAULT 0"),
)
PROVIDER_SESSIONS = (
    "".join(
        f"ALTER TABLE sessions ADD COLUMN {name} {kind};\n" for name, kind in _SESSION_COLUMNS_7
    )
    + """
CREATE INDEX sessions_sid ON sessions (provider, sid) WHERE sid <> '';

CREATE TABLE session_tokens (
    session_id       INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    refresh_token    BLOB NOT NULL,
    id_token         BLOB NOT NULL,
    refreshing_until INTEGER NOT NULL,
    failures         INTEGER NOT NULL
) STRICT;

CREATE TABLE used_tokens (
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX profiles_verified_email ON profiles (lower(email)) WHERE email_verified = 1;
CREATE INDEX users_pending ON users (id) WHERE status = 2;
ALTER TABLE api_keys ADD COLUMN imported TEXT NOT NULL DEFAULT '';
CREATE INDEX api_keys_imported ON api_keys (imported) WHERE imported <> '';
"""
)

# AUTOINCREMENT never reuses an id, so that a grant on a dropped database never applies to a later
# database. DROP DATABASE can therefore leave the grants, and delete one row.
#
# In `meta`, `epoch` identifies the history of the store, and `rev` is the newest revision.
# `exported` is the id of the last audit record in the audit file.
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};

CREATE TABLE meta (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL CHECK (length(epoch) = 32),
    rev   INTEGER NOT NULL CHECK (rev >= 0),
    exported INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO meta (id, epoch, rev) VALUES (1, lower(hex(randomblob(16))), 0);

CREATE TABLE users (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT NOT NULL UNIQUE CHECK (name <> ''),
    hash  TEXT NOT NULL CHECK (length(hash) BETWEEN 4 AND 200),
    admin INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1)),
    status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
    created_at INTEGER NOT NULL DEFAULT 0,
    password_changed_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE databases (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT NOT NULL UNIQUE CHECK (name <> ''),
    default_policy   TEXT NOT NULL,
    exclusive_stores TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE TABLE grants (
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    database_id INTEGER NOT NULL,
    privilege   INTEGER NOT NULL CHECK (privilege BETWEEN 0 AND 3),
    PRIMARY KEY (user_id, database_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    rev  INTEGER PRIMARY KEY,
    keys TEXT NOT NULL
) STRICT;

{RETENTION_POLICIES}{IDENTITIES}{DROPPED_IDENTITIES}{KNOWN_LOGINS}{PROFILES}{API_KEYS}{SESSIONS}
{PROVIDER_SESSIONS}{AUDIT}"""

# SQL by schema version: it upgrades a store of this version to the next version. It runs in the
# transaction that sets `user_version`.
MIGRATIONS = {
    1: f"""
ALTER TABLE meta ADD COLUMN exported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit RENAME TO audit_1;
{AUDIT}
INSERT INTO audit (id, rev, time, actor, address, statement, outcome)
SELECT rev, rev, time, actor, address, statement, outcome FROM audit_1;
DROP TABLE audit_1;
""",
    2: _IDENTITIES_3,
    3: DROPPED_IDENTITIES + KNOWN_LOGINS,
    4: f"""
{RETENTION_POLICIES}
INSERT INTO retention_policies
SELECT id, 0, policy, duration, replication, shard_duration, 0, 0 FROM databases;
ALTER TABLE databases DROP COLUMN duration;
ALTER TABLE databases DROP COLUMN replication;
ALTER TABLE databases DROP COLUMN shard_duration;
ALTER TABLE databases RENAME COLUMN policy TO default_policy;
ALTER TABLE databases ADD COLUMN exclusive_stores TEXT NOT NULL DEFAULT '[]';
""",
    5: f"""
ALTER TABLE users ADD COLUMN status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2);
ALTER TABLE users ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN password_changed_at INTEGER NOT NULL DEFAULT 0;
DROP INDEX users_admin;
{PROFILES}{API_KEYS}{SESSIONS}""",
    6: f"""
ALTER TABLE identities RENAME TO identities_6;
{IDENTITIES}
INSERT INTO identities (issuer, subject, user_id) SELECT issuer, subject, user_id FROM identities_6;
DROP TABLE identities_6;
{PROVIDER_SESSIONS}""",
}
