"""Statements that show or delete measurements, series, tags and fields."""

from dataclasses import dataclass

from headgate_grammar.ast import clauses
from headgate_grammar.ast.clauses import Limits, SortField
from headgate_grammar.ast.expressions import Expression, RegexLiteral
from headgate_grammar.ast.sources import Measurement
from headgate_grammar.text.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class Delete:
    """The statement `DELETE`. At least one of *sources* and *condition* is set."""

    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None

    def __str__(self) -> str:
        return "DELETE" + clauses.from_(self.sources) + clauses.where(self.condition)


@dataclass(frozen=True, slots=True)
class DropSeries:
    """The statement `DROP SERIES`. At least one of *sources* and *condition* is set."""

    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None

    def __str__(self) -> str:
        return "DROP SERIES" + clauses.from_(self.sources) + clauses.where(self.condition)


@dataclass(frozen=True, slots=True)
class DropMeasurement:
    """The statement `DROP MEASUREMENT`."""

    name: str

    def __str__(self) -> str:
        return f"DROP MEASUREMENT {quote_identifier(self.name)}"


@dataclass(frozen=True, slots=True)
class KeyTest:
    """The clause WITH KEY: *op* is =, !=, =~, !~ or IN.

    *key* is a RegexLiteral for =~ and !~, a tuple of names for IN, and a name otherwise.
    """

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
    """The statement `SHOW MEASUREMENTS`. *measurement* is the operand of WITH MEASUREMENT.

    *policy* is the retention policy after ON (1.12). *any_database* and *any_policy* stand for `*`
    in place of a name there.
    """

    database: str = ""
    measurement: Measurement | None = None
    condition: Expression | None = None
    order: SortField | None = None
    limits: Limits = Limits()
    policy: str = ""
    any_database: bool = False
    any_policy: bool = False

    def __str__(self) -> str:
        test = ""
        if self.measurement is not None:
            op = "=" if self.measurement.regex is None else "=~"
            test = f" WITH MEASUREMENT {op} {self.measurement}"
        tail = clauses.where(self.condition) + clauses.order_by(self.order) + str(self.limits)
        on = " ON *" if self.any_database else clauses.on(self.database)
        if self.any_policy or self.policy:
            policy = "*" if self.any_policy else quote_identifier(self.policy)
            on = f"{on or ' ON ' + quote_identifier('')}.{policy}"
        return "SHOW MEASUREMENTS" + on + test + tail


@dataclass(frozen=True, slots=True)
class ShowSeries:
    """The statement `SHOW SERIES`."""

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
    """The statement `SHOW FIELD KEYS`."""

    database: str = ""
    sources: tuple[Measurement, ...] = ()
    order: SortField | None = None
    limits: Limits = Limits()

    def __str__(self) -> str:
        tail = clauses.order_by(self.order) + str(self.limits)
        return "SHOW FIELD KEYS" + clauses.on(self.database) + clauses.from_(self.sources) + tail


@dataclass(frozen=True, slots=True)
class ShowTagKeys:
    """The statement `SHOW TAG KEYS`."""

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
    """The statement `SHOW TAG VALUES`."""

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
