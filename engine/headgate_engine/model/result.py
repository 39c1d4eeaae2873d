"""The result of executing a statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate_grammar import Statement

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Series:
    """One table of a result.

    *name* is "" for a table without a name. *columns* are the column names, *values* the rows, each
    as long as *columns*. *tags* are the tags of GROUP BY.
    """

    name: str
    columns: tuple[str, ...]
    values: Sequence[Sequence[Value]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one statement: its series, or *error*, one sentence ("" on success)."""

    statement: Statement
    series: tuple[Series, ...] = ()
    error: str = ""
