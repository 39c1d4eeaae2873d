"""The measurements in FROM, and the target of INTO. Subqueries are in select.py."""

from dataclasses import dataclass

from headgate_grammar.ast.expressions import RegexLiteral
from headgate_grammar.text.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement, `database.policy.name`, or all measurements with names that match *regex*.

    An empty *database* stands for the database of the request. An empty *policy* stands for the
    default retention policy of the database.
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
    """The measurement that INTO writes to.

    If *name* is "", the target is `policy.:MEASUREMENT`. InfluxDB then writes to a measurement with
    the name of the source.
    """

    name: str = ""
    policy: str = ""
    database: str = ""

    def __str__(self) -> str:
        path = _path(self.database, self.policy)
        if path and not self.name:
            return f"INTO {path}:MEASUREMENT"
        return f"INTO {path}{quote_identifier(self.name)}"


def _path(database: str, policy: str) -> str:
    path = quote_identifier(database) + "." if database else ""
    if policy:
        path += quote_identifier(policy)
    return path + "." if database or policy else ""
