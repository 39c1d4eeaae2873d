"""Builds statements about series, tags and fields from parsed InfluxQL.

Each method builds the result of the grammar rule with the same name.
"""

from collections.abc import Callable

from lark import Token, Transformer

from headgate_grammar.ast.cardinality import (
    ShowFieldKeyCardinality,
    ShowMeasurementCardinality,
    ShowSeriesCardinality,
    ShowTagKeyCardinality,
    ShowTagValuesCardinality,
)
from headgate_grammar.ast.clauses import Limits, SortField
from headgate_grammar.ast.expressions import Expression
from headgate_grammar.ast.series import (
    Delete,
    DropMeasurement,
    DropSeries,
    KeyTest,
    ShowFieldKeys,
    ShowMeasurements,
    ShowSeries,
    ShowTagKeys,
    ShowTagValues,
)
from headgate_grammar.ast.sources import Measurement
from headgate_grammar.parsing import literals
from headgate_grammar.parsing.inline import inline
from headgate_grammar.parsing.literals import BadValue

Measurements = tuple[Measurement, ...]
Condition = Expression | None
Dimensions = tuple[Expression, ...]


_CardinalityStatement = (
    ShowSeriesCardinality
    | ShowMeasurementCardinality
    | ShowFieldKeyCardinality
    | ShowTagKeyCardinality
)


def _cardinality_method(
    kind: Callable[..., _CardinalityStatement],
) -> Callable[..., _CardinalityStatement]:
    """Returns a transformer method that builds a *kind*, a SHOW .. CARDINALITY statement."""

    def build(
        self: object,
        exact: bool,
        database: str,
        sources: Measurements,
        condition: Condition,
        dimensions: Dimensions,
        *limits: int,
    ) -> _CardinalityStatement:
        return kind(exact, database, sources, condition, dimensions, Limits(*limits))

    return build


@inline
class SeriesRules(Transformer[Token, object]):
    """Lark's transformer for statements about series, tags and fields."""

    def delete(self, sources: Measurements | Expression, condition: Condition = None) -> Delete:
        """Returns the statement `DELETE`. Without FROM, *sources* is the condition of WHERE.

        Raises BadValue for a database or policy in FROM.
        """
        if not isinstance(sources, tuple):
            return Delete(condition=sources)
        if any(source.database for source in sources):
            _check_local(sources)
        return Delete(sources, condition)  # parser.py rejects a retention policy in 1.8

    def drop_series(
        self, sources: Measurements | Expression, condition: Condition = None
    ) -> DropSeries:
        """Returns the statement `DROP SERIES`. Without FROM, *sources* is the condition of WHERE.

        Raises BadValue for a database or policy in FROM.
        """
        if not isinstance(sources, tuple):
            return DropSeries(condition=sources)
        _check_local(sources)
        return DropSeries(sources, condition)

    def drop_measurement(self, name: Token) -> DropMeasurement:
        """Returns the statement `DROP MEASUREMENT`."""
        return DropMeasurement(name.value)

    def on_databases(self, *names: Token | None) -> list[Token | None]:
        """Returns the tokens after ON: a name, then None or a dot and a retention policy."""
        return [*names]

    def show_measurements(
        self,
        on: list[Token | None],
        measurement: Measurement | None,
        condition: Condition,
        order: SortField | None,
        limit: int,
        offset: int,
    ) -> ShowMeasurements:
        """Returns the statement `SHOW MEASUREMENTS`."""
        database, policy = on[0] if on else None, on[2] if len(on) > 2 else None
        return ShowMeasurements(
            _name(database),
            measurement,
            condition,
            order,
            Limits(limit, offset),
            _name(policy),
            any_database=database is not None and database.type == "ANY_NAME",
            any_policy=policy is not None and policy.type == "ANY_NAME",
        )

    def with_measurement(self, *test: Token | Measurement) -> Measurement | None:
        """Returns the operand of WITH MEASUREMENT, or None if the clause is missing."""
        measurement = test[-1] if test else None
        assert not isinstance(measurement, Token)
        return measurement

    def show_series(
        self,
        database: str,
        sources: Measurements,
        condition: Condition,
        order: SortField | None,
        limit: int,
        offset: int,
    ) -> ShowSeries:
        """Returns the statement `SHOW SERIES`."""
        return ShowSeries(database, sources, condition, order, Limits(limit, offset))

    def show_field_keys(
        self,
        database: str,
        sources: Measurements,
        order: SortField | None,
        limit: int,
        offset: int,
    ) -> ShowFieldKeys:
        """Returns the statement `SHOW FIELD KEYS`."""
        return ShowFieldKeys(database, sources, order, Limits(limit, offset))

    def show_tag_keys(
        self,
        database: str,
        sources: Measurements,
        condition: Condition,
        order: SortField | None,
        *limits: int,
    ) -> ShowTagKeys:
        """Returns the statement `SHOW TAG KEYS`."""
        return ShowTagKeys(database, sources, condition, order, Limits(*limits))

    def show_tag_values(
        self,
        database: str,
        sources: Measurements,
        key: KeyTest,
        condition: Condition,
        order: SortField | None,
        limit: int,
        offset: int,
    ) -> ShowTagValues:
        """Returns the statement `SHOW TAG VALUES`."""
        limits = Limits(limit, offset)
        return ShowTagValues(key, database, sources, condition, order, limits)

    def with_key(self, op: Token, *keys: Token) -> KeyTest:
        """Returns the clause WITH KEY, which selects the tag keys of `SHOW TAG VALUES`."""
        match op.type:
            case "IN":
                return KeyTest("IN", tuple(key.value for key in keys))
            case "EQ_REGEX" | "NOT_REGEX":
                return KeyTest(str(op), literals.regex(keys[0]))
            case _:
                return KeyTest("=" if op.type == "EQUAL" else "!=", keys[0].value)

    # ---- cardinality

    show_series_cardinality = _cardinality_method(ShowSeriesCardinality)
    show_measurement_cardinality = _cardinality_method(ShowMeasurementCardinality)
    show_field_key_cardinality = _cardinality_method(ShowFieldKeyCardinality)
    show_tag_key_cardinality = _cardinality_method(ShowTagKeyCardinality)

    def show_tag_values_cardinality(
        self,
        exact: bool,
        database: str,
        sources: Measurements,
        key: KeyTest,
        condition: Condition,
        dimensions: Dimensions,
        *limits: int,
    ) -> ShowTagValuesCardinality:
        """Returns the statement `SHOW TAG VALUES CARDINALITY`."""
        return ShowTagValuesCardinality(
            exact, database, sources, condition, dimensions, Limits(*limits), key=key
        )


def _check_local(sources: Measurements) -> None:
    """Raises BadValue if one of *sources* names a database or a retention policy."""
    unsupported = ""
    for source in sources:
        unsupported = "database" if source.database else unsupported
        unsupported = "retention policy" if source.policy else unsupported
    if unsupported:
        raise BadValue(f"{unsupported} not supported at line 1, char 1")


def _name(token: Token | None) -> str:
    """Returns the name *token*, or "" for None and for `*`."""
    return token.value if token is not None and token.type == "IDENT" else ""
