"""A log in PostgreSQL: the head is a row, and an UPDATE with a condition on its number moves it.

A position is the number `mod` of the head. `headgate_state` has the head and the values,
`headgate_changes` the latest changes of both, `headgate_log` the entries, and `headgate_proofs` a
row of each process, whose committed change proves that this server is the primary.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.stores.condition import StoreSize
from headgate_engine.stores.shared.log import (
    MAX_ENTRY_RECORDS,
    Batch,
    Entry,
    Loaded,
    Moved,
    TooOld,
    Unclear,
    decoded_entry,
)
from headgate_engine.stores.shared.postgres_client import (
    PostgresAddress,
    PostgresClient,
    UndefinedTable,
)

_CHANNEL, _DELAYS = "headgate", "headgate_delays"
_HEAD = b"head"
_STATE = b"s/"
# Changes that followers can read; with older positions they load everything.
_KEPT_CHANGES = 10_000
_WAIT_SECONDS = 0.5
# For statements that read or delete many rows.
_LONG_SECONDS = 60.0
_PAGE = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS headgate_state
    (key bytea PRIMARY KEY, value json NOT NULL, mod bigint NOT NULL);
CREATE TABLE IF NOT EXISTS headgate_changes
    (mod bigint, key bytea, value json, PRIMARY KEY (mod, key));
CREATE TABLE IF NOT EXISTS headgate_log
    (audit bigint, number bigint, mod bigint NOT NULL, value json NOT NULL,
     newest text NOT NULL, PRIMARY KEY (audit, number));
CREATE TABLE IF NOT EXISTS headgate_proofs
    (process text PRIMARY KEY, count bigint NOT NULL, at timestamptz NOT NULL);
"""
# One statement is one transaction. Only the UPDATE of the head decides: if another change came
# first, it has no row, and all else does nothing.
_COMMIT = """
WITH head AS (
    UPDATE headgate_state SET value = %(head)s::json, mod = mod + 1
    WHERE key = 'head'::bytea AND mod = %(at)s RETURNING mod
), written AS (
    SELECT head.mod, given.key, given.value::json
    FROM head, unnest(%(keys)s::bytea[], %(values)s::text[]) AS given (key, value)
), gone AS (
    DELETE FROM headgate_state USING written
    WHERE headgate_state.key = written.key AND written.value IS NULL
), put AS (
    INSERT INTO headgate_state SELECT key, value, mod FROM written WHERE value IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, mod = excluded.mod
), changes AS (
    INSERT INTO headgate_changes (mod, key, value)
    SELECT mod, 'head'::bytea, %(head)s::json FROM head
    UNION ALL SELECT mod, key, value FROM written
), old AS (
    DELETE FROM headgate_changes USING head
    WHERE head.mod %% 100 = 0 AND headgate_changes.mod <= head.mod - %(kept)s
), entry AS (
    INSERT INTO headgate_log
    SELECT %(audit)s, %(number)s, mod, %(entry)s::json, %(newest)s FROM head
)
SELECT mod, pg_notify(%(channel)s, mod::text) FROM head
"""
_MOVED = """
SELECT state.mod, log.value::text, log.mod
FROM headgate_state AS state
LEFT JOIN headgate_log AS log ON log.audit = %s AND log.number = %s
WHERE state.key = 'head'::bytea
"""
_CHANGES = """
SELECT mod, key, value::text FROM headgate_changes
WHERE mod > %(after)s AND mod <= (
    SELECT max(mod) FROM (
        SELECT DISTINCT mod FROM headgate_changes WHERE mod > %(after)s ORDER BY mod
        LIMIT %(page)s
    ) AS page
) ORDER BY mod
"""
_PROOF = """
WITH proof AS (
    INSERT INTO headgate_proofs VALUES (%s, 1, now())
    ON CONFLICT (process) DO UPDATE SET count = headgate_proofs.count + 1, at = now()
)
SELECT mod FROM headgate_state WHERE key = 'head'::bytea
"""
# The rows of processes that ended are deleted after a day.
_FORGET_PROOFS = "DELETE FROM headgate_proofs WHERE at < now() - interval '1 day'"
_SIZE = """
SELECT sum(pg_total_relation_size(name)) FROM unnest(ARRAY[
    'headgate_state', 'headgate_changes', 'headgate_log', 'headgate_proofs']::regclass[]) AS name
"""
_FORGET = """
DELETE FROM headgate_log WHERE (audit, number) <
    (SELECT audit, number FROM headgate_log ORDER BY audit DESC, number DESC LIMIT 1)
AND newest < %s
"""


class PostgresLog:
    """Implements `Log` in the database of *address*. Thread-safe; calls block.

    Without *primary_only*, a start needs synchronous replication: otherwise a change that was
    acknowledged can be lost with the primary.
    """

    max_writes = 10_000
    max_bytes = 16_000_000

    def __init__(self, address: PostgresAddress, *, primary_only: bool = False) -> None:
        self._client = PostgresClient(address)
        self._primary_only = primary_only
        self._process = secrets.token_hex(8)
        self._is_checked = self._closed = False

    def load(self) -> Loaded:
        """Returns all of the state at one position.

        The first call raises StoreError without replication. A standby that becomes the primary
        later may have no standby of its own yet.
        """
        self._check_replication()
        try:
            self.position()
            statement = "SELECT key, value::text, mod FROM headgate_state"
            rows = self._client.read(statement, seconds=_LONG_SECONDS)
        except UndefinedTable:
            return Loaded(0, None, {})
        values = {bytes(key): (value.encode(), mod) for key, value, mod in rows}
        head, position = values.pop(_HEAD, (None, 0))
        return Loaded(position, head, {_name(key): value for key, (value, _) in values.items()})

    def _check_replication(self) -> None:
        if self._primary_only or self._is_checked:
            return
        ((names,),) = self._client.read("SHOW synchronous_standby_names")
        if not names.strip():
            raise StoreError(
                "PostgreSQL has no synchronous standby, so a change can be lost with the primary:"
                ' set synchronous_standby_names, or [store] durability = "primary"'
            )
        self._is_checked = True

    def create(self, head: bytes) -> bool:
        """Makes the tables, and writes *head* if there is none."""
        self._check_replication()
        self._client.write(_TABLES)
        made = self._client.write(
            "INSERT INTO headgate_state VALUES ('head'::bytea, %s::json, 1)"
            " ON CONFLICT DO NOTHING RETURNING mod",
            (head.decode(),),
        )
        return bool(made)

    def commit(self, at: int, head: bytes, writes: Mapping[str, bytes | None], entry: Entry) -> int:
        """Writes *head*, *writes* and *entry* if the head's position is *at*."""
        values = {
            "at": at,
            "head": head.decode(),
            "keys": [_key(name) for name in writes],
            "values": [None if it is None else it.decode() for it in writes.values()],
            "audit": entry.audit,
            "number": entry.number,
            "entry": entry.encoded().decode(),
            "newest": max((record.time for record in entry.records), default=""),
            "kept": _KEPT_CHANGES,
            "channel": _CHANNEL,
        }
        done = self._client.write(_COMMIT, values)
        if done:
            return int(done[0][0])
        found = self._client.write(_MOVED, (entry.audit, entry.number))
        if not found:
            raise Moved(0)
        ((head_position, text, position),) = found
        if text is None:
            raise Moved(head_position)
        # What can be seen may not be at the standby yet. A later commit waits for it, too.
        self._prove()
        raise Moved(head_position, _entry(text), position)

    def position(self) -> int:
        """Returns the position of the head, after a committed write: a read proves nothing."""
        try:
            return self._prove()
        except Unclear:
            raise StoreUnavailable("PostgreSQL does not answer") from None
        except UndefinedTable:
            return 0

    def _prove(self) -> int:
        found = self._client.write(_PROOF, (self._process,))
        return int(found[0][0]) if found else 0

    def follow(self, after: int) -> Iterator[Batch]:
        """Yields the changes after the position *after*, and waits for further ones."""
        with self._client.listening(_CHANNEL) as connection:
            while not self._closed:
                before = after
                for batch in self._changes(after):
                    after = batch.position
                    yield batch
                if after == before:
                    self._client.wait(connection, _WAIT_SECONDS)

    def _changes(self, after: int) -> Iterator[Batch]:
        rows = self._client.read(_CHANGES, {"after": after, "page": _PAGE}, _LONG_SECONDS)
        if rows and rows[0][0] != after + 1:
            raise TooOld
        for mod, changes in groupby(rows, key=lambda row: row[0]):
            written = {
                bytes(key): None if value is None else value.encode() for _, key, value in changes
            }
            head = written.pop(_HEAD, None)
            yield Batch(mod, head or b"", {_name(key): it for key, it in written.items()})

    def refollow(self) -> None:
        """Ends each `follow`: the next one is on a new connection."""
        self._client.stop_listening()

    def entries(self, since: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with the first *limit* audit records after *since*."""
        statement = (
            "SELECT value::text, audit, number FROM headgate_log"
            " WHERE (audit, number) > (%s, %s) ORDER BY audit, number LIMIT %s"
        )
        found: list[Entry] = []
        place, records = (since + 1, -1), 0
        while records < limit:
            rows = self._client.read(statement, (*place, _PAGE))
            for text, *_ in rows:
                if (entry := _entry(text)) is not None and entry.records:
                    found.append(entry)
                    records += len(entry.records)
            if len(rows) < _PAGE:
                break
            place = rows[-1][1], rows[-1][2]
        return found

    def newest_entries(self, before: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with the newest records before *before*, the newest first."""
        statement = (
            "SELECT value::text, audit, number FROM headgate_log"
            " WHERE (audit, number) < (%s, %s) ORDER BY audit DESC, number DESC LIMIT %s"
        )
        found: list[Entry] = []
        # An entry has the id of its last record, and may have some before *before*.
        place, records = ((before + MAX_ENTRY_RECORDS) if before else 1 << 62, 0), 0
        while records < limit:
            rows = self._client.read(statement, (*place, _PAGE))
            for text, *_ in rows:
                entry = _entry(text)
                if entry is None or not entry.records:
                    continue
                if not before or entry.records[0].id < before:
                    found.append(entry)
                    records += sum(not before or it.id < before for it in entry.records)
            if len(rows) < _PAGE:
                break
            place = rows[-1][1], rows[-1][2]
        return found

    def forget(self, before: str) -> None:
        """Deletes entries whose audit records are all older than *before*; the newest one stays."""
        self._client.read(_FORGET, (before,), _LONG_SECONDS)
        self._client.read(_FORGET_PROOFS)

    def clear_entries(self) -> None:
        """Deletes all entries."""
        self._client.read("DELETE FROM headgate_log", seconds=_LONG_SECONDS)

    def size(self) -> StoreSize:
        """Returns how large the tables are."""
        ((size,),) = self._client.read(_SIZE)
        return StoreSize(int(size), int(size))

    def advice(self) -> str:
        """Returns "": PostgreSQL removes old versions by itself."""
        return ""

    def publish_delay(self, message: str, seconds: float) -> None:
        """Notifies the processes that listen."""
        self._client.read("SELECT pg_notify(%s, %s)", (_DELAYS, message))

    def delays(self) -> Iterator[str]:
        """Yields the texts of notifications from now on."""
        with self._client.listening(_DELAYS) as connection:
            while not self._closed:
                yield from self._client.wait(connection, _WAIT_SECONDS)

    def reload(self) -> None:
        """Makes new connections, which read the files of certificates again."""
        self._client.reload()

    def members_up(self) -> tuple[int, int]:
        """Returns (1, 1) if the primary answers, else (0, 1)."""
        try:
            self._client.read("SELECT 1")
        except (StoreUnavailable, StoreError):
            return 0, 1
        return 1, 1

    def close(self) -> None:
        """Releases the connections, and ends each `follow`."""
        self._closed = True
        self._client.close()


def _key(name: str) -> bytes:
    return _STATE + name.encode("utf-8", "surrogateescape")


def _name(key: bytes) -> str:
    return key.removeprefix(_STATE).decode("utf-8", "surrogateescape")


def _entry(text: Any) -> Entry | None:
    """Returns the entry with the JSON *text*, or None if another program has written it."""
    try:
        return decoded_entry(text.encode())
    except ValueError:
        return None
