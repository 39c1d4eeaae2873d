"""Reads all contents of a SQLite store, and makes a SQLite file with those of another store."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apsw

from headgate_engine.model.audit import AuditRecord
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import SessionTokens
from headgate_engine.model.user import LinkedIdentity, UserStatus
from headgate_engine.stores.contents import Contents
from headgate_engine.stores.shared.records import (
    DatabaseRecord,
    DroppedRecord,
    KeyRecord,
    Record,
    SessionRecord,
    UsedTokenRecord,
    UserRecord,
)
from headgate_engine.stores.shared.transaction import identity_key
from headgate_engine.stores.sqlite import account_reads, reads
from headgate_engine.stores.sqlite.account_changes import (
    insert,
    key_values,
    session_values,
)
from headgate_engine.stores.sqlite.account_reads import KEY_COLUMNS, SESSION_COLUMNS
from headgate_engine.stores.sqlite.audit import read_audit
from headgate_engine.stores.sqlite.backup import make_file
from headgate_engine.stores.sqlite.schema import SCHEMA
from headgate_grammar import Privilege

_PAGE = 1000
_ALL = 1 << 62
_STATUSES = tuple(UserStatus)
# Tables whose ids were given in order, and are never given again.
_NUMBERED = ("users", "databases", "identities", "api_keys", "sessions")


def read_contents(connection: apsw.Connection, *, audit: bool = True) -> Contents:
    """Returns the contents of the store of *connection* at one moment.

    Without *audit*, the audit has its newest record only: the next one has its id from it.
    """
    connection.execute("BEGIN")
    try:
        records = dict(_records(connection))
        revision: int = connection.execute("SELECT rev FROM meta").get
        last_audit: int = connection.execute("SELECT ifnull(max(id), 0) FROM audit").get
        last_id: int = connection.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence").get
        entries: list[AuditRecord] = []
        since = 0 if audit else last_audit - 1
        while page := read_audit(connection, entries[-1].id if entries else since, _PAGE):
            entries += page
        return Contents(revision, last_audit, last_id, records, entries)
    finally:
        connection.execute("ROLLBACK")


def _records(connection: apsw.Connection) -> Iterator[tuple[str, Record]]:
    databases = reads.read_databases(connection)
    ids = {database.name: database.id for database in databases}
    for database in databases:
        yield f"d/{database.name}", DatabaseRecord(database)
    identities = _grouped(
        connection.execute("SELECT user_id, id, issuer, subject, linked_at FROM identities"),
    )
    profiles = {
        str(id): Profile(email, bool(verified), name, updated, seen)
        for id, email, verified, name, updated, seen in connection.execute(
            "SELECT user_id, email, email_verified, full_name, updated_at, last_seen_at"
            " FROM profiles"
        )
    }
    for user in reads.read_user_page(connection, "", _ALL, ""):
        yield (
            f"u/{user.name}",
            UserRecord(
                replace(user, grants=MappingProxyType({})),
                MappingProxyType({ids[on]: held for on, held in user.grants.items()}),
                profiles.get(user.id, Profile()),
                tuple(LinkedIdentity(str(id), *more) for id, *more in identities.get(user.id, [])),
            ),
        )
    for key in account_reads.read_all_keys(connection):
        scope = {on: ids[on] for on in key.scope.grants}
        yield f"k/{key.id}", KeyRecord(key, MappingProxyType(scope))
    tokens = {
        str(id): SessionTokens(*columns)
        for id, *columns in connection.execute(
            "SELECT session_id, refresh_token, id_token, refreshing_until, failures"
            " FROM session_tokens"
        )
    }
    for session in account_reads.read_sessions(connection, "", _ALL, ""):
        yield f"s/{session.id}", SessionRecord(session, tokens.get(session.id))
    for issuer, subject, at in connection.execute("SELECT * FROM dropped_identities"):
        yield f"x/{identity_key(issuer, subject)}", DroppedRecord(issuer, subject, at)
    for digest, expires in connection.execute("SELECT * FROM used_tokens"):
        yield f"t/{digest.hex()}", UsedTokenRecord(digest, expires)


def _grouped(rows: Any) -> dict[str, list[Any]]:
    """Returns the columns after the first one of each of *rows*, by the text of the first one."""
    found: dict[str, list[Any]] = {}
    for key, *columns in rows:
        found.setdefault(str(key), []).append(columns)
    return found


def make_store_file(to: Path, contents: Contents) -> None:
    """Makes the new store file *to* with *contents*. Raises StoreError."""

    def fill(connection: apsw.Connection) -> None:
        connection.execute(SCHEMA).fetchall()
        with connection:
            for record in contents.records.values():
                _write(connection, record)
            connection.executemany(
                "INSERT INTO audit (id, rev, time, actor, address, statement, outcome, count)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (it.id, it.revision, it.time, it.actor, it.address)
                    + (it.statement, it.outcome, it.count)
                    for it in contents.audit
                ),
            )
            connection.execute(
                "UPDATE meta SET rev = ?, exported = ?", (contents.revision, contents.last_audit)
            )
            for table in _NUMBERED:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                connection.execute(
                    "INSERT INTO sqlite_sequence VALUES (?, ?)", (table, contents.last_id)
                )

    make_file(to, fill)


def _write(connection: apsw.Connection, record: Record) -> None:
    """Writes *record*. Grants, keys and sessions may come before what they belong to."""
    match record:
        case UserRecord():
            _write_user(connection, record)
        case DatabaseRecord(database):
            connection.execute(
                "INSERT INTO databases VALUES (?, ?, ?, ?)",
                (
                    *(int(database.id), database.name, database.default_policy),
                    json.dumps(sorted(database.exclusive_stores)),
                ),
            )
            for place, it in enumerate(database.policies):
                connection.execute(
                    "INSERT INTO retention_policies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(int(database.id), place, it.name, it.duration, it.replication),
                        *(it.shard_duration, it.future_limit, it.past_limit),
                    ),
                )
        case KeyRecord(key, scope):
            values = (int(key.id), *key_values(key))
            insert(connection, "api_keys", ("id", *KEY_COLUMNS), values)
            connection.executemany(
                "INSERT INTO api_key_grants VALUES (?, ?, ?)",
                [(int(key.id), int(scope[on]), int(held)) for on, held in key.scope.grants.items()],
            )
        case SessionRecord(session, tokens):
            values = (int(session.id), *session_values(session))
            insert(connection, "sessions", ("id", *SESSION_COLUMNS), values)
            if tokens is not None:
                connection.execute(
                    "INSERT INTO session_tokens VALUES (?, ?, ?, ?, ?)",
                    (
                        *(int(session.id), tokens.refresh_token, tokens.id_token),
                        *(tokens.refreshing_until, tokens.failures),
                    ),
                )
        case DroppedRecord(issuer, subject, at):
            connection.execute(
                "INSERT INTO dropped_identities VALUES (?, ?, ?)", (issuer, subject, at)
            )
        case UsedTokenRecord(digest, expires_at):
            connection.execute("INSERT INTO used_tokens VALUES (?, ?)", (digest, expires_at))


def _write_user(connection: apsw.Connection, record: UserRecord) -> None:
    user, profile = record.user, record.profile
    connection.execute(
        "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(int(user.id), user.name, user.hash, int(user.admin)),
            *(_STATUSES.index(user.status), user.created_at, user.password_changed_at),
        ),
    )
    if profile != Profile():
        connection.execute(
            "INSERT INTO profiles VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(int(user.id), profile.email, int(profile.email_verified), profile.full_name),
                *(profile.updated_at, profile.last_seen_at),
            ),
        )
    grants: list[tuple[int, int, Privilege]] = [
        (int(user.id), int(id), held) for id, held in record.grants.items()
    ]
    connection.executemany(
        "INSERT INTO grants VALUES (?, ?, ?)", [(user, on, int(held)) for user, on, held in grants]
    )
    connection.executemany(
        "INSERT INTO identities VALUES (?, ?, ?, ?, ?)",
        [
            (int(it.id), it.issuer, it.subject, int(user.id), it.linked_at)
            for it in record.identities
        ],
    )
