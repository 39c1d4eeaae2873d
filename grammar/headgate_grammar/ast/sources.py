"""Where data comes from and goes to: measurements, subqueries, targets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate_grammar.ast.expressions import RegexLiteral
from headgate_grammar.text.quoting import quote_identifier

if TYPE_CHECKING:
    from headgate_grammar.ast.select import Select


@dataclass(frozen=True, slots=True)
class Measurement:
    """`database.policy.name`, or a regular expression in place of the name.

    "" is for what is not said: the request's database, its default policy.
    """

    name: str = ""
    policy: str = ""
    database: str = ""
    regex: RegexLiteral | None = None

    def __str__(self) -> str:
        last = str(self.regex) if self.regex is not None else quote_identifier(self.name)
        return _path(self.database, self.policy) + last


@dataclass(frozen=True, slots=True)
class Target:
    """What INTO names; no *name* behind a policy is `:MEASUREMENT`, the name of the source."""

    name: str = ""
    policy: str = ""
    database: str = ""

    def __str__(self) -> str:
        path = _path(self.database, self.policy)
        if path and not self.name:
            return f"INTO {path}:MEASUREMENT"
        return f"INTO {path}{quote_identifier(self.name)}"


@dataclass(frozen=True, slots=True)
class Subquery:
    select: "Select"

    def __str__(self) -> str:
        return f"({self.select})"


Source = Measurement | Subquery


def databases(sources: tuple[Source, ...]) -> Iterator[str]:
    """The database of every measurement that *sources* read, subqueries included, in order."""
    for source in sources:
        if isinstance(source, Measurement):
            yield source.database
        else:
            yield from databases(source.select.sources)


def _path(database: str, policy: str) -> str:
    path = quote_identifier(database) + "." if database else ""
    if policy:
        path += quote_identifier(policy)
    return path + "." if database or policy else ""
