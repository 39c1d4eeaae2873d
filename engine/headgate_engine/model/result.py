"""What a statement answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate_grammar import Statement

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Series:
    """A table: its name ("" for none), its columns, its rows; the tags that it was grouped by."""

    name: str
    columns: tuple[str, ...]
    values: Sequence[Sequence[Value]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one statement: series, or one sentence of error."""

    statement: Statement
    series: tuple[Series, ...] = ()
    error: str = ""
