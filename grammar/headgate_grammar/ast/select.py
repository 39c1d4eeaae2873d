"""SELECT, subqueries, and the statements that contain a SELECT: EXPLAIN and continuous queries."""

from collections.abc import Iterator
from dataclasses import dataclass

from headgate_grammar.ast import clauses
from headgate_grammar.ast.clauses import Limits, SortField
from headgate_grammar.ast.expressions import (
    Call,
    DurationLiteral,
    Expression,
    Operation,
    Paren,
    StringLiteral,
    fixed_point,
)
from headgate_grammar.ast.sources import Measurement, Target
from headgate_grammar.text.durations import format_duration
from headgate_grammar.text.quoting import quote_identifier

_LARGEST_INTEGER = 1 << 63


@dataclass(frozen=True, slots=True)
class Field:
    """A field of SELECT: an expression and its alias, which is "" if AS is missing."""

    expression: Expression
    alias: str = ""

    def __str__(self) -> str:
        alias = f" AS {quote_identifier(self.alias)}" if self.alias else ""
        return f"{self.expression}{alias}"


@dataclass(frozen=True, slots=True)
class Fill:
    """The argument of the clause fill(), which sets the value of intervals without data.

    *value* is "none", "previous", "linear" or a number. For the default, `fill(null)`, there is no
    `Fill`: `Select.fill` is None.
    """

    value: str | int | float

    def __str__(self) -> str:
        text = str(self.value)
        if isinstance(self.value, float):
            text = fixed_point(self.value)
            if abs(self.value) < _LARGEST_INTEGER:  # a larger integer exceeds int64
                text = text.removesuffix(".0")
        return f" fill({text})"


@dataclass(frozen=True, slots=True)
class Subquery:
    """A SELECT in parentheses, as a source of FROM."""

    select: "Select"

    def __str__(self) -> str:
        return f"({self.select})"


Source = Measurement | Subquery


@dataclass(frozen=True, slots=True)
class Select:
    """A SELECT statement, a subquery, or the body of a continuous query.

    *target* is the clause INTO, and *dimensions* are the expressions of GROUP BY. *timezone* is the
    name in tz(), or "" if tz() is missing.
    """

    fields: tuple[Field, ...]
    sources: tuple[Source, ...]
    target: Target | None = None
    condition: Expression | None = None
    dimensions: tuple[Expression, ...] = ()
    fill: Fill | None = None
    order: SortField | None = None
    limits: Limits = Limits()
    timezone: str = ""

    def __str__(self) -> str:
        return "".join(
            (
                f"SELECT {', '.join(map(str, self.fields))}",
                f" {self.target}" if self.target is not None else "",
                clauses.from_(self.sources),
                clauses.where(self.condition),
                clauses.group_by(self.dimensions),
                str(self.fill) if self.fill is not None else "",
                clauses.order_by(self.order),
                str(self.limits),
                f" TZ({StringLiteral(self.timezone)})" if self.timezone else "",
            )
        )

    @property
    def raw(self) -> bool:
        """Whether all fields are free of function calls, as in `SELECT value`."""
        return not any(True for field in self.fields for _ in _calls(field.expression))

    def interval(self) -> int:
        """Returns the interval of GROUP BY time(..) in nanoseconds, or 0 if time(..) is missing.

        Raises:
            ValueError: time(..) has a wrong number of arguments, or the first is not a duration.
        """
        for dimension in self.dimensions:
            if isinstance(dimension, Call) and dimension.name == "time":
                if len(dimension.arguments) not in (1, 2):
                    raise ValueError("time dimension expected 1 or 2 arguments")
                span = dimension.arguments[0]
                if not isinstance(span, DurationLiteral):
                    raise ValueError("time dimension must have duration argument")
                return span.value
        return 0


@dataclass(frozen=True, slots=True)
class Explain:
    """The statement `EXPLAIN [ANALYZE] [VERBOSE] select`; 1.12 has VERBOSE alone."""

    select: Select
    analyze: bool = False
    verbose: bool = False

    def __str__(self) -> str:
        analyze = "ANALYZE " if self.analyze else ""
        verbose = "VERBOSE " if self.verbose else ""
        return f"EXPLAIN {analyze}{verbose}{self.select}"


@dataclass(frozen=True, slots=True)
class CreateContinuousQuery:
    """The statement `CREATE CONTINUOUS QUERY`.

    *every* and *for_* are the durations after RESAMPLE EVERY and FOR in nanoseconds, 0 if missing.
    """

    name: str
    database: str
    select: Select
    every: int = 0
    for_: int = 0

    def __str__(self) -> str:
        resample = " RESAMPLE" if self.every or self.for_ else ""
        every = f" EVERY {format_duration(self.every)}" if self.every else ""
        for_ = f" FOR {format_duration(self.for_)}" if self.for_ else ""
        return (
            f"CREATE CONTINUOUS QUERY {quote_identifier(self.name)}"
            f" ON {quote_identifier(self.database)}"
            f"{resample}{every}{for_} BEGIN {self.select} END"
        )


def databases(sources: tuple[Source, ...]) -> Iterator[str]:
    """Yields the database name of each measurement in *sources* and their subqueries, in order.

    Yields "" for a measurement that names no database.
    """
    for source in sources:
        if isinstance(source, Measurement):
            yield source.database
        else:
            yield from databases(source.select.sources)


def _calls(expression: Expression) -> Iterator[Call]:
    """Yields the outermost function calls in *expression*, without calls in their arguments."""
    match expression:
        case Call():
            yield expression
        case Paren(inner):
            yield from _calls(inner)
        case Operation(first, rest):
            yield from _calls(first)
            for _, operand in rest:
                yield from _calls(operand)
        case _:
            pass
