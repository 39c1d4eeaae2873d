"""Statements about measurements, series, tags and fields: what there is, and what shall go."""

from dataclasses import dataclass

from headgate_grammar.ast import clauses
from headgate_grammar.ast.clauses import Limits, SortField
from headgate_grammar.ast.expressions import Expression, RegexLiteral
from headgate_grammar.ast.sources import Measurement
from headgate_grammar.text.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class Delete:
    """At least one of *sources* and *condition* is there."""

    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None

    def __str__(self) -> str:
        return "DELETE" + clauses.from_(self.sources) + clauses.where(self.condition)


@dataclass(frozen=True, slots=True)
class DropSeries:
    """At least one of *sources* and *condition* is there."""

    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None

    def __str__(self) -> str:
        return "DROP SERIES" + clauses.from_(self.sources) + clauses.where(self.condition)


@dataclass(frozen=True, slots=True)
class DropMeasurement:
    name: str

    def __str__(self) -> str:
        return f"DROP MEASUREMENT {quote_identifier(self.name)}"


@dataclass(frozen=True, slots=True)
class KeyTest:
    """WITH KEY: *op* is =, !=, =~, !~ or IN, and what it compares with has the type for it."""

    op: str
    key: str | RegexLiteral | tuple[str, ...]

    def __str__(self) -> str:
        match self.key:
            case str():
                text = quote_identifier(self.key)
            case tuple():
                text = f"({', '.join(map(quote_identifier, self.key))})"
            case _:
                text = str(self.key)
        return f" WITH KEY {self.op} {text}"


@dataclass(frozen=True, slots=True)
class ShowMeasurements:
    """*measurement* is what WITH MEASUREMENT compares with."""

    database: str = ""
    measurement: Measurement | None = None
    condition: Expression | None = None
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        test = ""
        if self.measurement is not None:
            op = "=" if self.measurement.regex is None else "=~"
            test = f" WITH MEASUREMENT {op} {self.measurement}"
        tail = clauses.where(self.condition) + clauses.order_by(self.order) + str(self.limits)
        return "SHOW MEASUREMENTS" + clauses.on(self.database) + test + tail


@dataclass(frozen=True, slots=True)
class ShowSeries:
    database: str = ""
    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        tail = clauses.where(self.condition) + clauses.order_by(self.order) + str(self.limits)
        return "SHOW SERIES" + clauses.on(self.database) + clauses.from_(self.sources) + tail


@dataclass(frozen=True, slots=True)
class ShowFieldKeys:
    database: str = ""
    sources: tuple[Measurement, ...] = ()
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        tail = clauses.order_by(self.order) + str(self.limits)
        return "SHOW FIELD KEYS" + clauses.on(self.database) + clauses.from_(self.sources) + tail


@dataclass(frozen=True, slots=True)
class ShowTagKeys:
    database: str = ""
    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        tail = clauses.where(self.condition) + clauses.order_by(self.order) + str(self.limits)
        return "SHOW TAG KEYS" + clauses.on(self.database) + clauses.from_(self.sources) + tail


@dataclass(frozen=True, slots=True)
class ShowTagValues:
    key: KeyTest
    database: str = ""
    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        head = "SHOW TAG VALUES" + clauses.on(self.database) + clauses.from_(self.sources)
        tail = clauses.where(self.condition) + clauses.order_by(self.order) + str(self.limits)
        return f"{head}{self.key}{tail}"
