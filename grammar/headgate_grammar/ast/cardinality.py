"""SHOW .. CARDINALITY: how many series, measurements, keys and values there are."""

from dataclasses import dataclass

from headgate_grammar.ast import clauses
from headgate_grammar.ast.clauses import Limits
from headgate_grammar.ast.expressions import Expression
from headgate_grammar.ast.series import KeyTest
from headgate_grammar.ast.sources import Measurement


@dataclass(frozen=True, slots=True)
class _Cardinality:
    """What the five kinds have in common. *exact* asks to count instead of to estimate."""

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
    def __str__(self) -> str:
        return self._text("SERIES")


@dataclass(frozen=True, slots=True)
class ShowMeasurementCardinality(_Cardinality):
    def __str__(self) -> str:
        return self._text("MEASUREMENT")


@dataclass(frozen=True, slots=True)
class ShowFieldKeyCardinality(_Cardinality):
    def __str__(self) -> str:
        return self._text("FIELD KEY")


@dataclass(frozen=True, slots=True)
class ShowTagKeyCardinality(_Cardinality):
    def __str__(self) -> str:
        return self._text("TAG KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTagValuesCardinality(_Cardinality):
    key: KeyTest

    def __str__(self) -> str:
        return self._text("TAG VALUES", self.key)
