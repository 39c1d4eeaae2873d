"""The tables of a SQLite store, and the numbers by which a store file is known."""

APPLICATION_ID = 0x48644774  # "HdGt"
VERSION = 4

# What is refused has no revision; it is kept apart only where the oldest of it is dropped.
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

# Whom a token means: at most one user, and of a user at most one.
IDENTITIES = """
CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
"""

# When the user of an identity was dropped: Unix seconds. Tokens from before then stay refused.
DROPPED_IDENTITIES = """
CREATE TABLE dropped_identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    dropped REAL NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_identities_dropped ON dropped_identities (dropped);
"""

# Networks that a user logged in from, and the last time (Unix seconds). No revision counts them.
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

# Ids come from AUTOINCREMENT: one that was given is never given again, so a grant may point at a
# database that is gone, and DROP DATABASE is one row.
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
    admin INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1))
) STRICT;
CREATE INDEX users_admin ON users (id) WHERE admin = 1;

CREATE TABLE databases (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT NOT NULL UNIQUE CHECK (name <> ''),
    policy             TEXT NOT NULL,
    duration           INTEGER NOT NULL CHECK (duration >= 0),
    replication        INTEGER NOT NULL CHECK (replication >= 1),
    shard_duration     INTEGER NOT NULL CHECK (shard_duration > 0)
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

{IDENTITIES}{DROPPED_IDENTITIES}{KNOWN_LOGINS}{AUDIT}"""

# From the version that is the key to the next, within the transaction that sets `user_version`.
MIGRATIONS = {
    1: f"""
ALTER TABLE meta ADD COLUMN exported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit RENAME TO audit_1;
{AUDIT}
INSERT INTO audit (id, rev, time, actor, address, statement, outcome)
SELECT rev, rev, time, actor, address, statement, outcome FROM audit_1;
DROP TABLE audit_1;
""",
    2: IDENTITIES,
    3: DROPPED_IDENTITIES + KNOWN_LOGINS,
}
