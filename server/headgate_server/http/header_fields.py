"""The class `Headers`: a request's header fields, by name."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any


class Headers(Mapping[str, str]):
    """The header fields of a request, by name. Look-ups ignore case.

    *raw* has the fields in the form of ASGI: pairs of bytes, with names in lower case. If a name
    occurs several times, its value is that of the first field. Values are decoded as Latin-1.
    """

    __slots__ = ("_raw", "_repeats", "_values", "memo")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        # Values derived from these fields alone. A connection reuses the object for equal fields.
        self.memo: dict[Hashable, Any] = {}
        self._values = dict(raw)
        self._repeats = len(self._values) < len(raw)
        if self._repeats:
            self._values = dict(reversed(raw))

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """The fields in the order in which they were sent."""
        return self._raw

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        """Returns the first value of *name*, or *default*."""
        value = self._values.get(_lower(name))
        return value.decode("latin-1") if value is not None else default

    def getlist(self, name: str) -> Sequence[str]:
        """Returns all values of *name*, in order."""
        key = _lower(name)
        if self._repeats:
            return [value.decode("latin-1") for name, value in self._raw if name == key]
        value = self._values.get(key)
        return (value.decode("latin-1"),) if value is not None else ()

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Returns whether any field has one of *names*, which must be in lower case."""
        return not names.isdisjoint(self._values)

    def raw(self, name: bytes) -> bytes:
        """Returns the first value of *name* as bytes, or b"" if there is none.

        *name* must be in lower case.
        """
        return self._values.get(name, b"")

    def is_repeated(self, name: str) -> bool:
        """Returns whether there are several fields of *name*."""
        return self._repeats and len(self.getlist(name)) > 1

    def __getitem__(self, name: str) -> str:
        return self._values[_lower(name)].decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _lower(name) in self._values

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(256)
def _lower(name: str) -> bytes:
    return name.lower().encode("latin-1")
