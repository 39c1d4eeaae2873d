"""What a statement answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from headgate_grammar import Statement

Value = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Series:
    """A table: its name ("" for none), its columns, its rows."""

    name: str
    columns: tuple[str, ...]
    values: Sequence[Sequence[Value]] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one statement: series, or one sentence of error."""

    statement: Statement
    series: tuple[Series, ...] = ()
    error: str = ""
