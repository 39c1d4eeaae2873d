-- A store as version 1 made it: users root and todd, database db, READ for todd.
PRAGMA application_id = 1214531444;
PRAGMA user_version = 1;

CREATE TABLE meta (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL CHECK (length(epoch) = 32),
    rev   INTEGER NOT NULL CHECK (rev >= 0)
) STRICT;
INSERT INTO meta VALUES (1, lower(hex(randomblob(16))), 0);

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

CREATE TABLE audit (
    rev       INTEGER PRIMARY KEY,
    time      TEXT NOT NULL,
    actor     TEXT NOT NULL,
    address   TEXT NOT NULL,
    statement TEXT NOT NULL,
    outcome   TEXT NOT NULL
) STRICT;

UPDATE meta SET rev = 4;
INSERT INTO users VALUES (1, 'root', '$2b$04$0SmGq/0YlS.Rk1F0Zk2KV.placeholder', 1), (2, 'todd', '$2b$04$placeholder', 0);
INSERT INTO databases VALUES (1, 'db', 'autogen', 0, 1, 604800000000000);
INSERT INTO grants VALUES (2, 1, 1);
INSERT INTO changes VALUES (1, '["user:root"]'), (2, '["user:todd"]'), (3, '["database:db"]'), (4, '["user:todd"]');
INSERT INTO audit VALUES
    (1, '2026-11-01T00:00:00.000001+00:00', '', '127.0.0.1', 'CREATE USER root WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES', 'ok'),
    (2, '2026-11-01T00:00:00.000002+00:00', 'root', '127.0.0.1', 'CREATE USER todd WITH PASSWORD [REDACTED]', 'ok'),
    (3, '2026-11-01T00:00:00.000003+00:00', 'root', '127.0.0.1', 'CREATE DATABASE db', 'ok'),
    (4, '2026-11-01T00:00:00.000004+00:00', 'root', '127.0.0.1', 'GRANT READ ON db TO todd', 'ok');
