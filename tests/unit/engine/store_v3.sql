-- A store as version 3 made it: users root and todd, the latter bound to an identity; database db.
PRAGMA application_id = 1214531444;
PRAGMA user_version = 3;

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

CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (subject <> ''),
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

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

INSERT INTO users (name, hash, admin) VALUES ('root', '$2b$04$.....................................................', 1);
INSERT INTO users (name, hash, admin) VALUES ('todd', '*no password*', 0);
INSERT INTO databases (name, policy, duration, replication, shard_duration)
VALUES ('db', 'autogen', 0, 1, 604800000000000);
INSERT INTO grants VALUES (2, 1, 1);
INSERT INTO identities VALUES ('https://idp', '42', 2);
INSERT INTO audit (rev, time, actor, address, statement, outcome) VALUES
(1, '2026-11-01T00:00:00.000000+00:00', '', '', 'CREATE USER root', 'ok'),
(2, '2026-11-01T00:00:01.000000+00:00', 'root', '', 'CREATE DATABASE db', 'ok'),
(3, '2026-11-01T00:00:02.000000+00:00', 'jwt https://idp 42', '', 'CREATE USER todd', 'ok');
UPDATE meta SET rev = 3;
