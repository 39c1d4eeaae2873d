"""A log in etcd: the head and the values are keys, and a transaction compares the head's revision.

The keys lie below a prefix: `s/head`, `s/` and the key of each value, and `log/` and the number of
each entry. A position is the revision of etcd at which the head was written.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headgate_engine.errors import StoreUnavailable
from headgate_engine.stores.condition import StoreSize
from headgate_engine.stores.shared import etcd_messages as messages
from headgate_engine.stores.shared.etcd_client import Compacted, EtcdAddress, EtcdClient
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

_RANGE, _TXN, _PUT, _DELETE = (
    f"/etcdserverpb.KV/{name}" for name in ("Range", "Txn", "Put", "DeleteRange")
)
_LEASE, _STATUS = "/etcdserverpb.Lease/LeaseGrant", "/etcdserverpb.Maintenance/Status"
_PAGE = 2000
# An etcd that still has revisions this old compacts none.
_KEPT_REVISIONS = 100_000


class EtcdLog:
    """Implements `Log` in the etcd at *address*, below *prefix*. Thread-safe; calls block.

    *max_writes* fits etcd's default limit of 128 operations: see its flag `--max-txn-ops`.
    *size_limit* is its flag `--quota-backend-bytes`, which etcd tells from version 3.6 on.
    """

    max_bytes = 1_000_000  # etcd takes 1.5 MiB in a request, by default

    def __init__(
        self,
        address: EtcdAddress,
        prefix: str = "/headgate/",
        max_writes: int = 120,
        size_limit: int = 0,
    ) -> None:
        self.max_writes, self._size_limit = max_writes, size_limit
        self._client = EtcdClient(address)
        self._state = f"{prefix}s/".encode()
        self._log = f"{prefix}log/".encode()
        self._delays = f"{prefix}w/".encode()
        self._head = self._state + b"head"
        self._closed = False

    def load(self) -> Loaded:
        """Returns all of the state at one position."""
        values: dict[str, bytes] = {}
        head, position, revision, start = None, 0, 0, self._state
        while True:
            request = messages.RangeRequest(
                key=start, range_end=_after(self._state), limit=_PAGE, revision=revision
            )
            try:
                page = self._client.read(_RANGE, request)
            except Compacted:
                raise StoreUnavailable("etcd compacted what was being read") from None
            revision = revision or page.header.revision
            for kv in page.kvs:
                if kv.key == self._head:
                    head, position = kv.value, kv.mod_revision
                else:
                    values[self._name(kv.key)] = kv.value
            if not page.more:
                return Loaded(position, head, values)
            start = page.kvs[-1].key + b"\0"

    def create(self, head: bytes) -> bool:
        """Writes *head* if there is none."""
        request = messages.TxnRequest(compare=[self._head_is(0)], success=[_put(self._head, head)])
        return bool(self._client.write(_TXN, request).succeeded)

    def commit(self, at: int, head: bytes, writes: Mapping[str, bytes | None], entry: Entry) -> int:
        """Writes *head*, *writes* and *entry* if the head's position is *at*."""
        key = self._entry_key(entry.audit, entry.number)
        success = [_put(self._head, head), _put(key, entry.encoded())]
        for name, value in writes.items():
            there = self._state + name.encode()
            success.append(_put(there, value) if value is not None else _delete(there))
        request = messages.TxnRequest(
            compare=[self._head_is(at)],
            success=success,
            failure=[_read(self._head, keys_only=True), _read(key)],
        )
        response = self._client.write(_TXN, request)
        if response.succeeded:
            return int(response.header.revision)
        found, there = (one.response_range.kvs for one in response.responses)
        position = int(found[0].mod_revision) if found else 0
        if not there:
            raise Moved(position)
        raise Moved(position, _entry(there[0].value), int(there[0].mod_revision))

    def position(self) -> int:
        """Returns the position of the head by a linearizable read; 0 if there is no head."""
        found = self._client.read(_RANGE, messages.RangeRequest(key=self._head)).kvs
        return int(found[0].mod_revision) if found else 0

    def follow(self, after: int) -> Iterator[Batch]:
        """Yields the changes after the position *after*, and waits for further ones."""
        try:
            for events in self._client.watch(self._state, _after(self._state), after + 1):
                yield from self._batches(events)
        except Compacted:
            raise TooOld from None
        except Unclear:
            raise StoreUnavailable("no member of etcd answers") from None

    def _batches(self, events: Sequence[Any]) -> Iterator[Batch]:
        """Yields a batch for each revision in *events*, which has all events of a revision."""
        by_revision: dict[int, dict[bytes, bytes | None]] = {}
        for event in events:
            written = by_revision.setdefault(event.kv.mod_revision, {})
            written[event.kv.key] = None if event.type == messages.DELETED else event.kv.value
        for revision, written in sorted(by_revision.items()):
            head = written.pop(self._head, None)  # a change without its head is another program's
            yield Batch(revision, head or b"", {self._name(key): it for key, it in written.items()})

    def refollow(self) -> None:
        """Ends each `follow`: the next one is at another member."""
        self._client.end_watches()

    def entries(self, since: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with the first *limit* audit records after *since*."""
        found: list[Entry] = []
        start, records = self._entry_key(since + 1, 0), 0
        while records < limit:
            page = self._page(start, _after(self._log), messages.ASCENDING)
            for kv in page.kvs:
                if (entry := _entry(kv.value)) is not None and entry.records:
                    found.append(entry)
                    records += len(entry.records)
            if not page.more:
                break
            start = page.kvs[-1].key + b"\0"
        return found

    def newest_entries(self, before: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with the newest records before *before*, the newest first."""
        found: list[Entry] = []
        # The key has the last record of an entry, which may have some before *before*.
        last = self._entry_key(before + MAX_ENTRY_RECORDS, 0) if before else _after(self._log)
        records = 0
        while records < limit:
            page = self._page(self._log, last, messages.DESCENDING)
            for kv in page.kvs:
                entry = _entry(kv.value)
                if entry is None or not entry.records:
                    continue
                if not before or entry.records[0].id < before:
                    found.append(entry)
                    records += sum(not before or it.id < before for it in entry.records)
            if not page.more:
                break
            last = page.kvs[-1].key
        return found

    def forget(self, before: str) -> None:
        """Deletes entries whose audit records are all older than *before*; the newest one stays."""
        newest = self._client.read(
            _RANGE,
            messages.RangeRequest(
                key=self._log,
                range_end=_after(self._log),
                limit=1,
                sort_order=messages.DESCENDING,
            ),
        ).kvs
        end = newest[0].key if newest else self._log
        start = self._log
        while True:
            page = self._page(start, end, messages.ASCENDING)
            for kv in page.kvs:
                entry = _entry(kv.value)
                if entry is not None and any(it.time >= before for it in entry.records):
                    self._delete_before(kv.key)
                    return
            if not page.more:
                self._delete_before(end)
                return
            start = page.kvs[-1].key + b"\0"
            self._delete_before(start)

    def _delete_before(self, key: bytes) -> None:
        if key <= self._log:
            return
        try:
            request = messages.DeleteRangeRequest(key=self._log, range_end=key)
            self._client.write(_DELETE, request)
        except Unclear:  # deleted or not: the next call deletes them
            return

    def _page(self, start: bytes, end: bytes, order: int) -> Any:
        request = messages.RangeRequest(
            key=start, range_end=end, limit=_PAGE // 4, sort_order=order
        )
        return self._client.read(_RANGE, request)

    def _entry_key(self, audit: int, number: int) -> bytes:
        return self._log + f"{audit:020}/{number:020}".encode()

    def _head_is(self, position: int) -> Any:
        return messages.Compare(
            result=messages.EQUAL,
            target=messages.MOD_REVISION,
            key=self._head,
            mod_revision=position,
        )

    def _name(self, key: bytes) -> str:
        return key.removeprefix(self._state).decode("utf-8", "surrogateescape")

    def clear_entries(self) -> None:
        """Deletes all entries."""
        self._delete_before(_after(self._log))

    def size(self) -> StoreSize:
        """Returns how large the data of one member is."""
        found = self._client.read(_STATUS, messages.StatusRequest())
        limit = int(found.db_size_quota) or self._size_limit
        return StoreSize(int(found.db_size), int(found.db_size_in_use), limit)

    def advice(self) -> str:
        """Returns a sentence if etcd has no automatic compaction, or ""."""
        newest = self._client.read(_RANGE, messages.RangeRequest(key=self._head)).header.revision
        if newest <= _KEPT_REVISIONS:
            return ""
        request = messages.RangeRequest(key=self._head, revision=newest - _KEPT_REVISIONS)
        try:
            self._client.read(_RANGE, request)
        except Compacted:
            return ""
        return (
            "etcd keeps all old revisions, and will be full: start it with"
            " --auto-compaction-mode=periodic --auto-compaction-retention=1h"
        )

    def publish_delay(self, message: str, seconds: float) -> None:
        """Writes a key that etcd deletes after *seconds*."""
        lease = messages.LeaseGrantRequest(TTL=max(1, math.ceil(seconds)))
        try:
            granted = self._client.write(_LEASE, lease).ID
            key, value = self._delays + message.partition(" ")[0].encode(), message.encode()
            self._client.write(_PUT, messages.PutRequest(key=key, value=value, lease=granted))
        except Unclear:
            raise StoreUnavailable("no member of etcd answers") from None

    def delays(self) -> Iterator[str]:
        """Yields the values of keys that are written from now on."""
        try:
            for events in self._client.watch(self._delays, _after(self._delays), 0):
                for event in events:
                    if event.type != messages.DELETED:
                        yield event.kv.value.decode("utf-8", "replace")
        except (Compacted, Unclear):
            raise StoreUnavailable("no member of etcd answers") from None

    def reload(self) -> None:
        """Reads the files of certificates again."""
        self._client.reload()

    def members_up(self) -> tuple[int, int]:
        """Returns how many members respond, and how many there are."""
        request = messages.RangeRequest(key=self._head, serializable=True, keys_only=True)
        return self._client.members_up(_RANGE, request)

    def close(self) -> None:
        """Releases the connections, and ends each `follow`."""
        self._client.close()


def _put(key: bytes, value: bytes) -> Any:
    return messages.RequestOp(request_put=messages.PutRequest(key=key, value=value))


def _read(key: bytes, *, keys_only: bool = False) -> Any:
    request = messages.RangeRequest(key=key, keys_only=keys_only)
    return messages.RequestOp(request_range=request)


def _delete(key: bytes) -> Any:
    return messages.RequestOp(request_delete_range=messages.DeleteRangeRequest(key=key))


def _after(prefix: bytes) -> bytes:
    """Returns the first key after all keys that begin with *prefix*."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _entry(text: bytes) -> Entry | None:
    """Returns the entry with the JSON *text*, or None if another program has written it."""
    try:
        return decoded_entry(text)
    except ValueError:
        return None
