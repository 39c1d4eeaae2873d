"""A request's header fields, looked up by name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence


class Headers(Mapping[str, str]):
    """*raw* as ASGI has it: names in small letters. They are looked up in any case; a value is what
    the first field of that name holds, its bytes as Latin-1.
    """

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in raw:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        values = self._of(name)
        return values[0].decode("latin-1") if values is not None else default

    def getlist(self, name: str) -> Sequence[str]:
        """All of that name, in order."""
        values = self._of(name)
        return [value.decode("latin-1") for value in values] if values is not None else ()

    def _of(self, name: str) -> list[bytes] | None:
        return self._values.get(name.lower().encode("latin-1"))

    def __getitem__(self, name: str) -> str:
        values = self._of(name)
        if values is None:
            raise KeyError(name)
        return values[0].decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._of(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)
