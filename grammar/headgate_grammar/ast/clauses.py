"""Prints the clauses that InfluxQL statements share, such as FROM and WHERE.

The text of a clause begins with a blank; the text of a missing clause is "".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headgate_grammar.ast.expressions import Expression
from headgate_grammar.text.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class SortField:
    """The field of ORDER BY: *name* is `time`, or "" in `ORDER BY ASC` and `ORDER BY DESC`."""

    name: str
    ascending: bool

    def __str__(self) -> str:
        direction = "ASC" if self.ascending else "DESC"
        return f"{quote_identifier(self.name)} {direction}" if self.name else direction


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers after LIMIT, OFFSET, SLIMIT and SOFFSET; 0 stands for a missing clause."""

    limit: int = 0
    offset: int = 0
    slimit: int = 0
    soffset: int = 0

    def __str__(self) -> str:
        words = ("LIMIT", "OFFSET", "SLIMIT", "SOFFSET")
        numbers = (self.limit, self.offset, self.slimit, self.soffset)
        return "".join(f" {word} {n}" for word, n in zip(words, numbers, strict=True) if n)


def on(database: str) -> str:
    """Returns the clause ON, or "" if *database* is ""."""
    return f" ON {quote_identifier(database)}" if database else ""


def from_(sources: Iterable[object]) -> str:
    """Returns the clause FROM, or "" if *sources* is empty."""
    text = ", ".join(map(str, sources))
    return f" FROM {text}" if text else ""


def where(condition: Expression | None) -> str:
    """Returns the clause WHERE, or "" if *condition* is None."""
    return f" WHERE {condition}" if condition is not None else ""


def group_by(dimensions: Iterable[Expression]) -> str:
    """Returns the clause GROUP BY, or "" if *dimensions* is empty."""
    text = ", ".join(map(str, dimensions))
    return f" GROUP BY {text}" if text else ""


def order_by(field: SortField | None) -> str:
    """Returns the clause ORDER BY, or "" if *field* is None."""
    return f" ORDER BY {field}" if field is not None else ""
