"""The five statements SHOW .. CARDINALITY, which count series, measurements, keys or values."""

from dataclasses import dataclass

from headgate_grammar.ast import clauses
from headgate_grammar.ast.clauses import Limits
from headgate_grammar.ast.expressions import Expression
from headgate_grammar.ast.series import KeyTest
from headgate_grammar.ast.sources import Measurement


@dataclass(frozen=True, slots=True)
class _Cardinality:
    """Base class of the five statements SHOW .. CARDINALITY.

    *exact* requests an exact count instead of an estimate. *dimensions* is the clause GROUP BY.
    """

    exact: bool = False
    database: str = ""
    sources: tuple[Measurement, ...] = ()
    condition: Expression | None = None
    dimensions: tuple[Expression, ...] = ()
    limits: Limits = Limits()

    def _text(self, what: str, key: KeyTest | str = "") -> str:
        exact = " EXACT" if self.exact else ""
        return (
            f"SHOW {what}{exact} CARDINALITY{clauses.on(self.database)}"
            f"{clauses.from_(self.sources)}{key}{clauses.where(self.condition)}"
            f"{clauses.group_by(self.dimensions)}{self.limits}"
        )


@dataclass(frozen=True, slots=True)
class ShowSeriesCardinality(_Cardinality):
    """The statement `SHOW SERIES CARDINALITY`."""

    def __str__(self) -> str:
        return self._text("SERIES")


@dataclass(frozen=True, slots=True)
class ShowMeasurementCardinality(_Cardinality):
    """The statement `SHOW MEASUREMENT CARDINALITY`."""

    def __str__(self) -> str:
        return self._text("MEASUREMENT")


@dataclass(frozen=True, slots=True)
class ShowFieldKeyCardinality(_Cardinality):
    """The statement `SHOW FIELD KEY CARDINALITY`."""

    def __str__(self) -> str:
        return self._text("FIELD KEY")


@dataclass(frozen=True, slots=True)
class ShowTagKeyCardinality(_Cardinality):
    """The statement `SHOW TAG KEY CARDINALITY`."""

    def __str__(self) -> str:
        return self._text("TAG KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTagValuesCardinality(_Cardinality):
    """The statement `SHOW TAG VALUES CARDINALITY`."""

    key: KeyTest

    def __str__(self) -> str:
        return self._text("TAG VALUES", self.key)
