-- A store of schema version 6.
PRAGMA application_id = 1214531444;
PRAGMA user_version = 6;

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

CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE dropped_identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    dropped REAL NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_identities_dropped ON dropped_identities (dropped);

CREATE TABLE known_logins (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    mark    TEXT NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (user_id, network, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_logins_seen ON known_logins (seen);

CREATE TABLE profiles (
    user_id        INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email          TEXT NOT NULL DEFAULT '',
    email_verified INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)),
    full_name      TEXT NOT NULL DEFAULT '',
    updated_at     INTEGER NOT NULL DEFAULT 0,
    last_seen_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX users_active_admin ON users (id) WHERE admin = 1 AND status = 0;

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

INSERT INTO users (name, hash, admin, created_at) VALUES ('root', '$2b$04$x', 1, 5), ('todd', '*no password*', 0, 6);
INSERT INTO identities VALUES ('https://idp', '42', 2);
INSERT INTO profiles (user_id, email, email_verified) VALUES (2, 'Todd@Example.com', 1);
INSERT INTO sessions VALUES (7, 2, zeroblob(32), NULL, 1, 9, 9, 8, 8, 0, 0, '', 'jwt', '', '::1', 'a');
INSERT INTO api_keys (id, user_id, name, prefix, hash, previous_until, previous_seen_at, admin, everywhere, created_at, created_by, rotated_at, expires_at, revoked_at, last_seen_at, last_address)
VALUES (3, 2, 'k', 'hgk_12345678', randomblob(32), 0, 0, 0, 3, 5, 'root', 0, 0, 0, 0, '');
UPDATE meta SET rev = 2;
INSERT INTO changes VALUES (1, '["user:root"]'), (2, '["user:todd"]');
