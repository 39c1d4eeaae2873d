"""Records in memory by key, with indexes, and the changes of a transaction over them."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

R = TypeVar("R")
Index = Callable[[R], Iterable[Hashable]]


class Table(Generic[R]):
    """Records of one kind by key. Several threads may read while one thread writes.

    *order* returns the number of a record, which differs from record to record: the records are in
    the order of these numbers. Records without numbers are in no order. *unique* and *groups* are
    indexes: functions that return the values by which a record is found. A value of a unique index
    has one record at most.
    """

    def __init__(
        self,
        order: Callable[[R], int] | None = None,
        *,
        unique: Mapping[str, Index[R]] | None = None,
        groups: Mapping[str, Index[R]] | None = None,
    ) -> None:
        self.order = order
        self.unique: Mapping[str, Index[R]] = unique or {}
        self.groups: Mapping[str, Index[R]] = groups or {}
        self._records: dict[str, R] = {}
        self._numbers: list[int] = []
        self._key_by_number: dict[int, str] = {}
        self._key_by_value: dict[str, dict[Hashable, str]] = {name: {} for name in self.unique}
        self._keys_by_value: dict[str, dict[Hashable, dict[str, None]]] = {
            name: {} for name in self.groups
        }

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> R | None:
        """Returns the record of *key*, or None."""
        return self._records.get(key)

    def keys(self) -> list[str]:
        """Returns all keys."""
        return list(self._records)

    def first(self, index: str, value: Hashable) -> R | None:
        """Returns the record with *value* in the unique *index*, or None."""
        key = self._key_by_value[index].get(value)
        return None if key is None else self._records.get(key)

    def keys_of(self, index: str, value: Hashable) -> list[str]:
        """Returns the keys of the records with *value* in the group *index*."""
        return list(self._keys_by_value[index].get(value, ()))

    def count(self, index: str, value: Hashable) -> int:
        """Returns the number of records with *value* in the group *index*."""
        return len(self._keys_by_value[index].get(value, ()))

    def find(self, index: str, value: Hashable) -> list[R]:
        """Returns the records with *value* in the group *index*, in order."""
        found = (self._records.get(key) for key in self.keys_of(index, value))
        return self.sorted(it for it in found if it is not None)

    def after(self, number: int) -> Iterator[R]:
        """Yields the records with a larger number than *number*, in order."""
        numbers = self._numbers
        for place in range(bisect_right(numbers, number), len(numbers)):
            record = self._records.get(self._key_by_number.get(numbers[place], ""))
            if record is not None:
                yield record

    def all(self) -> list[R]:
        """Returns all records, in order."""
        return list(self._records.values()) if self.order is None else list(self.after(-1))

    def check(self, record: R) -> None:
        """Raises what the number or an index of *record* raises: then `put` would fail halfway."""
        if self.order is not None:
            self.order(record)
        for values_of in (*self.unique.values(), *self.groups.values()):
            for value in values_of(record):
                hash(value)

    def put(self, key: str, record: R | None) -> None:
        """Replaces the record of *key*; None removes it.

        Readers find the old record or the new one at each moment, by each value that both have.
        """
        old = self._records.get(key)
        if record is None:
            self._records.pop(key, None)
        else:
            self._records[key] = record
        for name, values_of in self.unique.items():
            for value in () if record is None else values_of(record):
                self._key_by_value[name][value] = key
            for value in _values_of_old(values_of, old, record):
                if self._key_by_value[name].get(value) == key:
                    del self._key_by_value[name][value]
        for name, values_of in self.groups.items():
            for value in () if record is None else values_of(record):
                self._keys_by_value[name].setdefault(value, {})[key] = None
            for value in _values_of_old(values_of, old, record):
                members = self._keys_by_value[name].get(value, {})
                members.pop(key, None)
                if not members:
                    self._keys_by_value[name].pop(value, None)
        if self.order is not None:
            before = None if old is None else self.order(old)
            after = None if record is None else self.order(record)
            if after is not None and after != before:
                self._add_number(after, key)
            if before is not None and after != before:
                self._drop_number(before)

    def _add_number(self, number: int, key: str) -> None:
        self._key_by_number[number] = key
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers):
            self._numbers.append(number)
        elif self._numbers[place] != number:
            self._numbers = [*self._numbers[:place], number, *self._numbers[place:]]

    def _drop_number(self, number: int) -> None:
        self._key_by_number.pop(number, None)
        place = bisect_left(self._numbers, number)
        self._numbers = self._numbers[:place] + self._numbers[place + 1 :]

    def sorted(self, records: Iterable[R]) -> list[R]:
        """Returns *records* in order."""
        return list(records) if self.order is None else sorted(records, key=self.order)


def _values_of_old(values_of: Index[R], old: R | None, new: R | None) -> Iterable[Hashable]:
    """Returns the values by which *old* is found, and *new* is not."""
    if old is None:
        return ()
    return set(values_of(old)).difference(() if new is None else values_of(new))


class Overlay(Generic[R]):
    """The changes of one transaction over *table*. For one thread.

    Reads see the changes. *changed* has the new records by key; None stands for a removed one.
    """

    def __init__(self, table: Table[R]) -> None:
        self._table = table
        self.changed: dict[str, R | None] = {}

    def get(self, key: str) -> R | None:
        """Returns the record of *key*, or None."""
        return self.changed[key] if key in self.changed else self._table.get(key)

    def put(self, key: str, record: R | None) -> None:
        """Replaces the record of *key*; None removes it."""
        self.changed[key] = record

    def first(self, index: str, value: Hashable) -> R | None:
        """Returns the record with *value* in the unique *index*, or None."""
        values_of = self._table.unique[index]
        for record in self.changed.values():
            if record is not None and value in values_of(record):
                return record
        found = self._table.first(index, value)
        return found if found is not None and not self._is_changed(found) else None

    def find(self, index: str, value: Hashable) -> list[R]:
        """Returns the records with *value* in the group *index*, in order."""
        values_of = self._table.groups[index]
        found = [it for it in self._table.find(index, value) if not self._is_changed(it)]
        found += [it for it in self.changed.values() if it is not None and value in values_of(it)]
        return self._table.sorted(found)

    def all(self) -> list[R]:
        """Returns all records, in order."""
        found = [it for it in self._table.all() if not self._is_changed(it)]
        found += [it for it in self.changed.values() if it is not None]
        return self._table.sorted(found)

    def count(self, index: str, value: Hashable) -> int:
        """Returns the number of records with *value* in the group *index*."""
        values_of = self._table.groups[index]
        before = sum(
            old is not None and value in values_of(old)
            for old in map(self._table.get, self.changed)
        )
        after = sum(it is not None and value in values_of(it) for it in self.changed.values())
        return self._table.count(index, value) - before + after

    def __len__(self) -> int:
        before = sum(self._table.get(key) is not None for key in self.changed)
        after = sum(record is not None for record in self.changed.values())
        return len(self._table) - before + after

    def _is_changed(self, record: R) -> bool:
        return any(self._table.get(key) is record for key in self.changed)
