"""The interface `Log`: state as keys and values, which changes only together with its head.

A log compares, writes, reads and follows. The rules of the head are those of `SharedStore`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from headgate_engine.model.audit import AuditRecord
from headgate_engine.stores.condition import StoreSize

SCHEMA = 1
# An entry has at most this many audit records.
MAX_ENTRY_RECORDS = 500


class Moved(Exception):
    """Another change came first; nothing was done, and nothing will be.

    *head* is the position that the head has. *entry* is the entry that lies where this change's
    entry would, written at *position*, or None: if it is this change's own entry, an earlier try
    was done.
    """

    def __init__(self, head: int, entry: "Entry | None" = None, position: int = 0) -> None:
        super().__init__("the head has moved")
        self.head, self.entry, self.position = head, entry, position


class Unclear(Exception):
    """There was no answer: the change may have been made, or may still be made."""


class TooOld(Exception):
    """The log no longer has the changes after a position: all has to be loaded again."""


class BadHead(Exception):
    """The head cannot be read: another program has written it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The value that each change replaces.

    *revision*, *audit* and *last_id* are the newest revision, id of an audit record, and id of a
    user, database, key or session. *number* counts the changes. *txn* identifies the newest one:
    the server, and which try of it. *epoch* identifies the history. *state* is `ready`, or
    `copying` while a copy is being written. *schema* is the version of the records.
    """

    epoch: str
    revision: int = 0
    audit: int = 0
    last_id: int = 0
    number: int = 0
    txn: str = ""
    state: str = "ready"
    schema: int = SCHEMA

    def encoded(self) -> bytes:
        """Returns the JSON text of this head."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def decoded_head(text: bytes) -> Head:
    """Returns the head with the JSON *text*. Raises BadHead."""
    try:
        content = json.loads(text)
        members = {one.name: content[one.name] for one in fields(Head)}
    except (ValueError, TypeError, KeyError):
        raise BadHead from None
    texts = ("epoch", "txn", "state")
    if any(type(value) is not (str if name in texts else int) for name, value in members.items()):
        raise BadHead
    return Head(**members)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one change did: its *txn*, the revisions *first* to *last*, and its audit records.

    *number* is that of the head. *keys* name the changed users and databases.
    """

    number: int
    txn: str
    audit: int
    records: tuple[AuditRecord, ...] = ()
    keys: tuple[str, ...] = ()
    revision: int = 0

    def encoded(self) -> bytes:
        """Returns the JSON text of this entry."""
        content = asdict(self)
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def decoded_entry(text: bytes) -> Entry:
    """Returns the entry with the JSON *text*. Raises ValueError."""
    try:
        content: dict[str, Any] = json.loads(text)
        records = tuple(AuditRecord(**one) for one in content.pop("records"))
        keys = tuple(map(str, content.pop("keys")))
        return Entry(**content, records=records, keys=keys)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"an entry of the log: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Loaded:
    """All of the state at *position*: the head, or None if there is no store, and the values."""

    position: int
    head: bytes | None
    values: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """One change at *position*: the new head, and the written values; None stands for removed."""

    position: int
    head: bytes
    writes: Mapping[str, bytes | None] = field(repr=False)


class Log(Protocol):
    """A log that several processes share. Thread-safe; calls block.

    A *position* is a number that each change increases. Any method may raise StoreUnavailable:
    then it has done nothing. `max_writes` and `max_bytes` are the most that one commit takes.
    """

    max_writes: int
    max_bytes: int

    def load(self) -> Loaded:
        """Returns all of the state at one position."""
        ...

    def create(self, head: bytes) -> bool:
        """Writes *head* if there is none. Returns False if there is one. Raises Unclear."""
        ...

    def commit(self, at: int, head: bytes, writes: Mapping[str, bytes | None], entry: Entry) -> int:
        """Writes *head*, *writes* and *entry* if the head's position is *at*.

        Returns the new position. Raises Moved if the head has another position, and Unclear.
        """
        ...

    def position(self) -> int:
        """Returns the position of the head, and proves that it is the newest."""
        ...

    def follow(self, after: int) -> Iterator[Batch]:
        """Yields the changes after the position *after*, in order, and waits for further ones.

        Ends after `close`. Raises TooOld.
        """
        ...

    def refollow(self) -> None:
        """Ends each `follow`, whose changes do not arrive though the head can be read."""
        ...

    def entries(self, since: int, limit: int) -> Sequence[Entry]:
        """Returns at least the entries with the first *limit* audit records after *since*."""
        ...

    def newest_entries(self, before: int, limit: int) -> Sequence[Entry]:
        """Returns at least the entries with the newest *limit* records before *before* (0: all)."""
        ...

    def forget(self, before: str) -> None:
        """Deletes entries whose audit records are all older than *before*; the newest one stays."""
        ...

    def clear_entries(self) -> None:
        """Deletes all entries, for a copy that begins again."""
        ...

    def size(self) -> StoreSize | None:
        """Returns how large the log is, or None if it is in memory."""
        ...

    def advice(self) -> str:
        """Returns a sentence about settings of the log that will harm later, or ""."""
        ...

    def publish_delay(self, message: str, seconds: float) -> None:
        """Shows *message* to each `delays`; not durable. It is of use for *seconds*.

        A message replaces an earlier one with the same first word.
        """
        ...

    def delays(self) -> Iterator[str]:
        """Yields what `publish_delay` shows from now on, of all processes. Ends after `close`."""
        ...

    def reload(self) -> None:
        """Reads the files of certificates again, for connections that are made from now on.

        Raises StoreError: then the former certificates stay in use.
        """
        ...

    def members_up(self) -> tuple[int, int]:
        """Returns how many members respond, and how many there are. Raises no error."""
        ...

    def close(self) -> None:
        """Releases the resources, and ends each `follow`."""
        ...
