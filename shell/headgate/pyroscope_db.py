"""Reads `pyroscope.db`, the SQLite file in which Pyroscope 0.10 to 0.37 keeps users and API keys.

GORM writes the file. These columns are read, and nothing else:

- `users`: `id`, `name`, `email` (may be NULL), `full_name` (may be NULL), `password_hash`, `role`,
  `is_disabled`, `is_external`;
- `api_keys`: `id`, `name`, `hash`, `role`, `expires_at` (may be NULL), `created_at`.

Hashes are of bcrypt, stored as BLOB. Roles are 1 (ReadOnly), 2 (Agent) and 3 (Admin). Times are
texts such as `2023-01-02 15:04:05.123456789+00:00`.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ROLES = {1: "ReadOnly", 2: "Agent", 3: "Admin"}
_SELECT_USERS = """
SELECT name, email, full_name, password_hash, role, is_disabled, is_external FROM users ORDER BY id
"""
_SELECT_KEYS = "SELECT id, name, hash, role, expires_at, created_at FROM api_keys ORDER BY id"


class InvalidPyroscopeFile(ValueError):
    """The file is no `pyroscope.db`, or cannot be read."""


@dataclass(frozen=True, slots=True)
class PyroscopeUser:
    """A user. *hash* is of bcrypt. *role* is "" for an unknown one.

    An external user comes by a provider; the hash is that of a random password.
    """

    name: str
    email: str
    full_name: str
    hash: str = field(repr=False)
    role: str
    disabled: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class PyroscopeKey:
    """An API key. *hash* is the bcrypt hash of its secret. *role* is "" for an unknown one.

    Times are Unix seconds. *expires_at* is 0 for a key without an end, and None for a time that
    cannot be read. *created_at* is 0 for an unknown time.
    """

    number: int
    name: str
    hash: str = field(repr=False)
    role: str
    expires_at: int | None = 0
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class PyroscopeData:
    """The users and API keys of a Pyroscope, in order of creation."""

    users: Sequence[PyroscopeUser]
    keys: Sequence[PyroscopeKey]


def read_pyroscope(path: str) -> PyroscopeData:
    """Returns the users and keys in the file *path*, which stays as it is.

    Raises InvalidPyroscopeFile.
    """
    try:
        os.stat(path)
    except OSError as error:
        raise InvalidPyroscopeFile(f"{path}: {error.strerror}") from None
    try:
        address = f"{Path(path).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            # The file may be a foreign one: its views and triggers may call no functions.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")  # users and keys of one moment
            users = [_user(row) for row in connection.execute(_SELECT_USERS)]
            keys = [_key(row) for row in connection.execute(_SELECT_KEYS)]
    except (sqlite3.Error, ValueError) as error:
        raise InvalidPyroscopeFile(f"{path} is no pyroscope.db of Pyroscope: {error}") from None
    return PyroscopeData(users, keys)


def _user(row: Sequence[Any]) -> PyroscopeUser:
    name, email, full_name, hash, role, disabled, external = row
    return PyroscopeUser(
        *(_text(name), _text(email), _text(full_name), _text(hash), _ROLES.get(role, "")),
        disabled=bool(disabled),
        external=bool(external),
    )


def _key(row: Sequence[Any]) -> PyroscopeKey:
    number, name, hash, role, expires_at, created_at = row
    if not isinstance(number, int):
        raise ValueError("expected a number of a key")
    return PyroscopeKey(
        *(number, _text(name), _text(hash), _ROLES.get(role, "")),
        _seconds(expires_at),
        _seconds(created_at) or 0,
    )


def _text(value: object) -> str:
    """Returns the text *value*; "" for NULL. Raises ValueError for a value of another type."""
    if isinstance(value, bytes):
        return value.decode()
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a text, not {type(value).__name__}")
    return value or ""


def _seconds(value: object) -> int | None:
    """Returns the time *value* in Unix seconds; 0 for NULL, None for a time of another form.

    Go's zero time is before 1970: it counts as NULL.
    """
    if value is None:
        return 0
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None:
            return None
        return max(0, int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        return None
