"""Writes the same users, databases and grants, in any number, for influxd and for Headgate.

Statements would take hours of bcrypt, so each server's own file format is written.
"""

from collections.abc import Iterator
from pathlib import Path

import bcrypt

from headgate_engine import Audit, SqliteStore, Tx
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_grammar import Privilege

DATABASES = 10
GRANTS_PER_USER = 3
PASSWORD = "secret-of-all"
ROOT = "root"
_BATCH_USERS = 10_000
# The minimum of bcrypt: each user logs in once, and bcrypt is not what is measured.
_BCRYPT_COST = 4
_AUDIT = Audit("", "", "-- loaded")


class Population:
    """*count* users u0, u1, ... with READ on GRANTS_PER_USER databases, and the administrator ROOT.

    *admins* is the number of users, evenly spread, that are administrators too.
    """

    def __init__(self, count: int, admins: int = 0) -> None:
        self.count = count
        self._step = count // admins if admins else 0
        self.hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(_BCRYPT_COST, b"2a")).decode()

    def grants(self, number: int) -> list[str]:
        """Returns the databases that user *number* may read."""
        return [
            f"db{(number + step) % DATABASES}" for step in range(min(GRANTS_PER_USER, DATABASES))
        ]

    def is_admin(self, number: int) -> bool:
        """Returns whether user *number* is an administrator."""
        return self._step > 0 and number % self._step == self._step - 1

    @property
    def admins(self) -> list[str]:
        """Names of the administrators, without ROOT."""
        return [f"u{number}" for number in range(self.count) if self.is_admin(number)]

    # ---- Headgate's store

    def fill(self, path: Path) -> None:
        """Creates the store *path*."""
        store = SqliteStore(path)

        def begin(tx: Tx) -> None:
            tx.add_user(ROOT, self.hash, True)
            for number in range(DATABASES):
                tx.add_database(f"db{number}", RetentionPolicy())

        store.transact(begin, _AUDIT)
        for first in range(0, self.count, _BATCH_USERS):
            numbers = range(first, min(first + _BATCH_USERS, self.count))

            def add(tx: Tx, numbers: range = numbers) -> None:
                databases = {
                    name: tx.database(name) for name in map("db{}".format, range(DATABASES))
                }
                for number in numbers:
                    tx.add_user(f"u{number}", self.hash, self.is_admin(number))
                    user = tx.user(f"u{number}")
                    assert user is not None
                    for name in self.grants(number):
                        database = databases[name]
                        assert database is not None
                        tx.put_grant(user, database, Privilege.READ)

            store.transact(add, _AUDIT)
        store.close()

    # ---- InfluxDB 1.x's meta.db: a Protocol Buffers message of its meta.proto

    def write_meta(self, path: Path) -> None:
        """Writes the file *path*, a `meta.db`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(self._meta()))

    def _meta(self) -> Iterator[bytes]:
        yield _number(1, 1) + _number(2, 2 + self.count) + _number(3, 1)  # term, index, cluster
        for number in range(DATABASES):
            policy = _text(1, "autogen") + _number(2, 0) + _number(3, 7 * 86_400 * 10**9)
            policy += _number(4, 1)
            yield _length_delimited(
                5, _text(1, f"db{number}") + _text(2, "autogen") + _length_delimited(3, policy)
            )
        yield _length_delimited(6, self._user(ROOT, admin=True, grants=[]))
        for number in range(self.count):
            admin, grants = self.is_admin(number), self.grants(number)
            yield _length_delimited(6, self._user(f"u{number}", admin=admin, grants=grants))
        yield _number(7, 1) + _number(8, 0) + _number(9, 0)

    def _user(self, name: str, *, admin: bool, grants: list[str]) -> bytes:
        found = _text(1, name) + _text(2, self.hash) + _number(3, int(admin))
        for database in grants:
            found += _length_delimited(4, _text(1, database) + _number(2, 1))
        return found


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _length_delimited(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _length_delimited(field, text.encode())
