"""Measurements that SELECT reads, and targets that it writes to. Subqueries are in select.py."""

from dataclasses import dataclass

from headgate_grammar.ast.expressions import RegexLiteral
from headgate_grammar.text.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class Measurement:
    """`database.policy.name`, or a regular expression in place of the name.

    An empty *database* or *policy* stands for the request's database and its default policy.
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

    An empty *name* after a policy is `:MEASUREMENT`, the name of the source measurement.
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
