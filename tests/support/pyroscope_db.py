"""Writes files with the tables that Pyroscope 0.37 writes by GORM, and makes its API keys."""

import secrets
import sqlite3
from base64 import urlsafe_b64encode
from contextlib import closing
from pathlib import Path

import bcrypt

READ_ONLY, AGENT, ADMIN = 1, 2, 3
_TIME = "2023-01-02 15:04:05.123456789+00:00"
_SCHEMA = """
CREATE TABLE `migrations` (`id` varchar(255), PRIMARY KEY (`id`));
CREATE TABLE `users` (`id` integer, `name` varchar(255) NOT NULL DEFAULT null,
    `email` varchar(255) DEFAULT null, `full_name` varchar(255) DEFAULT null,
    `password_hash` varchar(255) NOT NULL DEFAULT null, `role` integer NOT NULL DEFAULT null,
    `is_disabled` numeric NOT NULL DEFAULT false, `is_external` numeric NOT NULL DEFAULT false,
    `last_seen_at` datetime DEFAULT null, `password_changed_at` datetime, `created_at` datetime,
    `updated_at` datetime, PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `idx_users_name` ON `users`(`name`);
CREATE UNIQUE INDEX `idx_users_email` ON `users`(`email`);
CREATE TABLE `api_keys` (`id` integer, `name` varchar(255) NOT NULL DEFAULT null,
    `hash` varchar(255) NOT NULL DEFAULT null, `role` integer NOT NULL DEFAULT null,
    `expires_at` datetime DEFAULT null, `last_seen_at` datetime DEFAULT null,
    `created_at` datetime, PRIMARY KEY (`id`));
CREATE UNIQUE INDEX `idx_api_keys_name` ON `api_keys`(`name`);
"""


class PyroscopeFile:
    """A `pyroscope.db` at *path*. bcrypt's cost is the least one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._execute(_SCHEMA)

    def add_user(
        self,
        name: str,
        password: str = "s3cret",
        role: int = READ_ONLY,
        *,
        email: str | None = None,
        full_name: str | None = None,
        disabled: bool = False,
        external: bool = False,
        hash: bytes | None = None,
    ) -> None:
        """Adds a user. *hash* takes the place of the hash of *password*."""
        stored = hash if hash is not None else _hash(password.encode())
        self._execute(
            "INSERT INTO users (name, email, full_name, password_hash, role, is_disabled,"
            " is_external, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(name, email, full_name, stored, role, disabled, external, _TIME),
        )

    def add_key(
        self,
        name: str,
        role: int = AGENT,
        *,
        expires_at: str | None = None,
        number: int | None = None,
        secret: bytes = b"",
        hash: bytes | None = None,
    ) -> str:
        """Adds a key and returns its text. Without *number* and *secret* it gets new ones."""
        secret = secret or secrets.token_bytes(32)
        stored = hash if hash is not None else _hash(secret)
        added = self._execute(
            "INSERT INTO api_keys (id, name, hash, role, expires_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(number, name, stored, role, expires_at, _TIME),
        )
        return key_text(added, secret)

    def _execute(self, sql: str, *values: object) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            if not values:
                connection.executescript(sql)
                return 0
            id = connection.execute(sql, values).lastrowid
            connection.commit()
            return id or 0


def key_text(number: int, secret: bytes) -> str:
    """Returns the text of the key *number*: the rule of Pyroscope's `GenerateAPIKey`."""
    payload = b""
    while number > 127:
        payload += bytes([number % 128 + 128])
        number //= 128
    payload += bytes([number]) + secret
    return "psx-" + urlsafe_b64encode(payload).decode().rstrip("=")


def _hash(secret: bytes) -> bytes:
    return bcrypt.hashpw(secret, bcrypt.gensalt(4, b"2a"))
