"""Reads all contents of a log, and writes those of another store into it."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.model.audit import AuditRecord
from headgate_engine.stores.contents import Contents
from headgate_engine.stores.shared.log import (
    MAX_ENTRY_RECORDS,
    SCHEMA,
    BadHead,
    Entry,
    Head,
    Log,
    Moved,
    Unclear,
    decoded_head,
)
from headgate_engine.stores.shared.mirror import KINDS
from headgate_engine.stores.shared.records import BadRecord, Record, decoded, encoded

_COPYING = "copying"
_PAGE_RECORDS = 1000
_ENTRY_BYTES = 256 << 10
# Ids below were given after the moment to which a store went back.
_SKIPPED_IDS = 1_000_000


def read_log(log: Log, *, audit: bool, unchanged: bool) -> Contents:
    """Returns the contents of *log* at one position; without *audit* its newest record only.

    With *unchanged*, the store must not be changed meanwhile.

    Raises:
        StoreError: there is no store, it cannot be read, or it was changed meanwhile.
    """
    try:
        loaded = log.load()
        head = _head(loaded.head)
        records: dict[str, Record] = {
            key: decoded(KINDS[key[:2]], text)
            for key, text in loaded.values.items()
            if key[:2] in KINDS
        }
        entries = list(_audit(log, head.audit)) if audit else _newest(log)
        if unchanged and log.position() != loaded.position:
            raise StoreError("the store was changed meanwhile: stop its servers, then try again")
    except BadRecord as error:
        raise StoreError(f"a record of the store cannot be read: {error}") from None
    except StoreUnavailable as error:
        raise StoreError(str(error)) from None
    return Contents(head.revision, head.audit, head.last_id, records, entries)


def check_log(log: Log) -> list[str]:
    """Returns the faults of the store in *log*, one sentence each. Raises StoreError."""
    try:
        loaded = log.load()
        _head(loaded.head)
    except StoreUnavailable as error:
        raise StoreError(str(error)) from None
    found = []
    for key, text in sorted(loaded.values.items()):
        if (kind := KINDS.get(key[:2])) is None:
            found.append(f"{key[:80]!r}: not one of Headgate's records")
            continue
        try:
            decoded(kind, text)
        except BadRecord as error:
            found.append(f"{key[:80]!r}: {error}")
    return found


def write_log(log: Log, contents: Contents) -> None:
    """Writes *contents* into *log*, as a new store that servers open once it is complete.

    What an interrupted copy has left is replaced. Raises StoreError, also if there is a store.
    """
    head = Head(secrets.token_hex(16), state=_COPYING)
    try:
        log.create(head.encoded())
        loaded = log.load()
        head = _head(loaded.head, copying=True)
        if head.state != _COPYING:
            raise StoreError("there is a store already: copy to an empty one")
        log.clear_entries()
        writes: dict[str, bytes | None] = dict.fromkeys(loaded.values)
        writes |= {key: encoded(record) for key, record in contents.records.items()}
        copy = _Copy(log, loaded.position, head)
        for page in _pages(writes, log):
            copy.commit(page)
        for records in _groups(contents.audit):
            copy.commit({}, records)
        copy.commit(
            {},
            revision=contents.revision,
            audit=contents.last_audit,
            last_id=contents.last_id,
            state="ready",
        )
    except (Moved, Unclear):
        raise StoreError(
            "another program writes there, or there is no answer: run the copy again"
        ) from None
    except StoreUnavailable as error:
        raise StoreError(str(error)) from None


def accept_rollback_of_log(log: Log, record: AuditRecord) -> int:
    """Makes the store in *log* usable after it went back; returns its revision.

    It gets a new epoch, and leaves out a million ids: those that were given after the moment to
    which it went back are never given again. *record* says so in the audit; its id is set here.
    Raises StoreError.
    """
    try:
        loaded = log.load()
        head = _head(loaded.head)
        new = replace(
            head,
            epoch=secrets.token_hex(16),
            revision=head.revision + 1,
            audit=head.audit + _SKIPPED_IDS,
            last_id=head.last_id + _SKIPPED_IDS,
            number=head.number + 1,
            txn=f"accept-rollback {secrets.token_hex(4)} {secrets.token_hex(8)}",
        )
        entry = replace(record, id=new.audit, revision=new.revision)
        log.commit(
            loaded.position,
            new.encoded(),
            {},
            Entry(new.number, new.txn, new.audit, (entry,), (), new.revision),
        )
    except (Moved, Unclear):
        raise StoreError("another program writes to the store: stop its servers") from None
    except StoreUnavailable as error:
        raise StoreError(str(error)) from None
    return new.revision


class _Copy:
    """Commits the pages of a copy to *log*, one after the other, from *head* at *position* on."""

    def __init__(self, log: Log, position: int, head: Head) -> None:
        self._log, self._position, self._head = log, position, head

    def commit(
        self,
        writes: Mapping[str, bytes | None],
        records: Sequence[AuditRecord] = (),
        **changed: Any,
    ) -> None:
        txn = f"copy {secrets.token_hex(4)} {secrets.token_hex(8)}"
        head = replace(self._head, number=self._head.number + 1, txn=txn)
        head = Head(**{**_members(head), **changed})
        audit = records[-1].id if records else 0
        entry = Entry(head.number, txn, audit, tuple(records))
        self._position = self._log.commit(self._position, head.encoded(), writes, entry)
        self._head = head


def _members(head: Head) -> dict[str, Any]:
    names = ("epoch", "revision", "audit", "last_id", "number", "txn", "state", "schema")
    return {name: getattr(head, name) for name in names}


def _head(text: bytes | None, *, copying: bool = False) -> Head:
    """Returns the head with the JSON *text* of a complete store, or of one that is *copying*."""
    if text is None:
        raise StoreError("there is no store")
    try:
        head = decoded_head(text)
    except BadHead:
        raise StoreError("its head cannot be read: another program has written it") from None
    if head.schema > SCHEMA:
        raise StoreError("a newer version of Headgate made it")
    if head.state != "ready" and not copying:
        raise StoreError(f"it is not complete: {head.state}; run the copy again")
    return head


def _audit(log: Log, last: int) -> Iterator[AuditRecord]:
    """Yields the audit records of *log* up to the id *last*."""
    since = 0
    while entries := log.entries(since, _PAGE_RECORDS):
        before = since
        for record in (it for entry in entries for it in entry.records):
            # An interrupted copy may have left a record twice.
            if since < record.id <= last:
                since = record.id
                yield record
        if since == before:
            return


def _newest(log: Log) -> list[AuditRecord]:
    """Returns the newest audit record, from which the next one has its id, in a list."""
    return [entry.records[-1] for entry in log.newest_entries(0, 1)[:1]]


def _pages(writes: Mapping[str, bytes | None], log: Log) -> Iterator[Mapping[str, bytes | None]]:
    page: dict[str, bytes | None] = {}
    size = 0
    for key, value in writes.items():
        length = len(key.encode("utf-8", "surrogateescape")) + len(value or b"")
        if page and (len(page) >= log.max_writes or size + length > log.max_bytes // 2):
            yield page
            page, size = {}, 0
        page[key] = value
        size += length
    if page:
        yield page


def _groups(records: Sequence[AuditRecord]) -> Iterator[Sequence[AuditRecord]]:
    group: list[AuditRecord] = []
    size = 0
    for record in records:
        length = len(record.statement) + len(record.actor) + 200
        if group and (len(group) >= MAX_ENTRY_RECORDS or size + length > _ENTRY_BYTES):
            yield group
            group, size = [], 0
        group.append(record)
        size += length
    if group:
        yield group
