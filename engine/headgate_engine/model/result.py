"""The result of one InfluxQL statement: tables of rows (series), or an error text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from headgate_engine.errors import StatementError
from headgate_grammar import Statement

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Series:
    """One table of a result.

    *name* is "" for a table without a name. *columns* are the column names. *values* are the rows;
    each row is as long as *columns*. *tags* are the tags of GROUP BY that identify the table.
    """

    name: str
    columns: tuple[str, ...]
    values: Sequence[Sequence[Value]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one statement: its *series*, or the text *error*, which is "" on success."""

    statement: Statement
    series: tuple[Series, ...] = ()
    error: str = ""


class Results(list[Result]):
    """The results of a query, one for each statement."""

    def raise_for_error(self) -> Self:
        """Returns the results. Raises StatementError with the text of the first error, if any."""
        for result in self:
            if result.error:
                raise StatementError(result.error)
        return self
