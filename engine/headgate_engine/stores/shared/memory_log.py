"""A log in memory, for tests of shared stores: several stores of one process may share it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from headgate_engine.errors import StoreUnavailable
from headgate_engine.stores.condition import StoreSize
from headgate_engine.stores.shared.log import Batch, Entry, Loaded, Moved, TooOld, Unclear

# What goes wrong with a commit. `refused`: it is not done. `lost`: the request gets lost, and there
# is no answer. `answer lost`: it is done, and there is no answer. `late`: there is no answer, and
# the request arrives after the next one. `moved`: *meanwhile* is called first.
Fault = Literal["", "refused", "lost", "answer lost", "late", "moved"]
_MAX_BATCHES = 10_000


class MemoryLogData:
    """The data that the `MemoryLog`s of several stores share."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.head: bytes | None = None
        self.position = 0
        self.values: dict[str, bytes] = {}
        self.batches: list[Batch] = []
        self.entries: list[Entry] = []
        self.delays: list[str] = []
        self.late: list[tuple[int, bytes, Mapping[str, bytes | None], Entry]] = []


class MemoryLog:
    """Implements `Log` on *data*. *fault* returns what goes wrong with the next commit."""

    max_writes = max_bytes = 1 << 31

    def __init__(
        self,
        data: MemoryLogData | None = None,
        fault: Callable[[], Fault] = lambda: "",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self.data = data if data is not None else MemoryLogData()
        self._fault, self._meanwhile = fault, meanwhile
        self._closed = False
        self.is_away = False

    def _check(self) -> None:
        if self.is_away or self._closed:
            raise StoreUnavailable("the log is away")

    def load(self) -> Loaded:
        """Returns all of the state at one position."""
        self._check()
        with self.data.condition:
            return Loaded(self.data.position, self.data.head, dict(self.data.values))

    def create(self, head: bytes) -> bool:
        """Writes *head* if there is none."""
        self._check()
        with self.data.condition:
            if self.data.head is not None:
                return False
            self.data.head, self.data.position = head, self.data.position + 1
            return True

    def commit(self, at: int, head: bytes, writes: Mapping[str, bytes | None], entry: Entry) -> int:
        """Writes *head*, *writes* and *entry* if the head's position is *at*."""
        self._check()
        fault = self._fault()
        if fault == "moved":
            self._meanwhile()
        if fault == "refused":
            raise StoreUnavailable("refused")
        if fault == "lost":
            raise Unclear
        if fault == "late":
            self.data.late.append((at, head, writes, entry))
            raise Unclear
        try:
            position = self._commit(at, head, writes, entry)
        finally:
            late, self.data.late = self.data.late, []
            for one in late:
                try:
                    self._commit(*one)
                except Moved:
                    continue
        if fault == "answer lost":
            raise Unclear
        return position

    def _commit(
        self, at: int, head: bytes, writes: Mapping[str, bytes | None], entry: Entry
    ) -> int:
        data = self.data
        with data.condition:
            if data.position != at:
                there = [it for it in data.entries[-100:] if it.number == entry.number]
                raise Moved(data.position, there[0] if there else None, at + 1)
            data.position += 1
            data.head = head
            for key, value in writes.items():
                if value is None:
                    data.values.pop(key, None)
                else:
                    data.values[key] = value
            data.batches.append(Batch(data.position, head, dict(writes)))
            del data.batches[:-_MAX_BATCHES]
            data.entries.append(entry)
            data.condition.notify_all()
            return data.position

    def position(self) -> int:
        """Returns the position of the head."""
        self._check()
        return self.data.position

    def follow(self, after: int) -> Iterator[Batch]:
        """Yields the changes after the position *after*, and waits for further ones."""
        data = self.data
        while True:
            self._check()
            with data.condition:
                if data.batches and data.batches[0].position > after + 1:
                    raise TooOld
                while data.position <= after and not self._closed and not self.is_away:
                    data.condition.wait()
                found = [it for it in data.batches if it.position > after]
            if self._closed:
                return
            for batch in found:
                yield batch
                after = batch.position

    def refollow(self) -> None:
        """Does nothing: all changes arrive."""

    def entries(self, since: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with audit records after *since*."""
        self._check()
        found = [it for it in self.data.entries if it.records and it.records[-1].id > since]
        return found[:limit]

    def newest_entries(self, before: int, limit: int) -> Sequence[Entry]:
        """Returns the entries with the newest records before *before*, the newest first."""
        self._check()
        found = [
            it
            for it in reversed(self.data.entries)
            if it.records and (not before or it.records[0].id < before)
        ]
        return found[:limit]

    def forget(self, before: str) -> None:
        """Deletes entries whose audit records are all older than *before*."""
        self._check()
        with self.data.condition:
            entries = self.data.entries
            self.data.entries = [
                it
                for it in entries
                if it is entries[-1] or any(record.time >= before for record in it.records)
            ]

    def clear_entries(self) -> None:
        """Deletes all entries."""
        with self.data.condition:
            self.data.entries = []

    def size(self) -> StoreSize | None:
        """Returns None: the data is in memory."""
        return None

    def advice(self) -> str:
        """Returns "": it has no settings."""
        return ""

    def publish_delay(self, message: str, seconds: float) -> None:
        """Shows *message* to each `delays`."""
        self._check()
        with self.data.condition:
            self.data.delays.append(message)
            self.data.condition.notify_all()

    def delays(self) -> Iterator[str]:
        """Yields what `publish_delay` shows from now on."""
        data = self.data
        place = len(data.delays)
        while not self._closed:
            with data.condition:
                while len(data.delays) == place and not self._closed:
                    data.condition.wait()
                found = data.delays[place:]
            yield from found
            place += len(found)

    def reload(self) -> None:
        """Does nothing: there are no certificates."""

    def members_up(self) -> tuple[int, int]:
        """Returns (1, 1): the data is in this process."""
        return 1, 1

    def close(self) -> None:
        """Ends each `follow`."""
        with self.data.condition:
            self._closed = True
            self.data.condition.notify_all()
