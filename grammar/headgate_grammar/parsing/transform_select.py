"""Builds SELECT, EXPLAIN, continuous queries and the clauses of statements from parsed InfluxQL.

Each method builds the result of the grammar rule with the same name.
"""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lark import Token, Transformer

from headgate_grammar.ast.clauses import Limits, SortField
from headgate_grammar.ast.expressions import (
    Expression,
    IntegerLiteral,
    NumberLiteral,
    StringLiteral,
    VarRef,
    last_conditional,
)
from headgate_grammar.ast.select import (
    CreateContinuousQuery,
    Explain,
    Field,
    Fill,
    Select,
    Source,
    Subquery,
)
from headgate_grammar.ast.sources import Measurement, Target
from headgate_grammar.parsing import literals
from headgate_grammar.parsing.inline import inline
from headgate_grammar.parsing.literals import BadValue
from headgate_grammar.parsing.transform_expressions import path_segments
from headgate_grammar.text.durations import format_duration


class NoInterval(Exception):
    """A continuous query calls a function, but its GROUP BY time(..) is missing or invalid.

    `str()` is the error in the arguments of time(..), or "" if time(..) is missing or 0.
    """


class NoResample(Exception):
    """All durations of the clause RESAMPLE are 0."""


class ConditionInField(Exception):
    """A field of SELECT contains *operator*, which is allowed in conditions only."""

    def __init__(self, operator: str) -> None:
        super().__init__(operator)
        self.operator = operator


@inline
class SelectRules(Transformer[Token, object]):
    """Lark's transformer for SELECT and for clauses."""

    def select(
        self,
        fields: tuple[Field, ...],
        target: Target | None,
        sources: tuple[Source, ...],
        condition: Expression | None,
        dimensions: tuple[Expression, ...],
        fill: Fill | None,
        order: SortField | None,
        limit: int,
        offset: int,
        slimit: int,
        soffset: int,
        timezone: str,
    ) -> Select:
        """Returns the SELECT; a missing clause is None, an empty tuple, 0 or ""."""
        limits = Limits(limit, offset, slimit, soffset)
        return Select(fields, sources, target, condition, dimensions, fill, order, limits, timezone)

    def select_into(self, *parts: Any) -> Select:
        """Returns the SELECT of a continuous query; *parts* are the arguments of `select`.

        Raises NoInterval if the SELECT calls a function without a valid time(..). Raises BadValue
        if the SELECT calls no function and time(..) is invalid.
        """
        select: Select = self.select(*parts)
        _interval(select)
        return select

    def explain(self, options: tuple[bool, bool] | None, select: Select) -> Explain:
        """Returns the statement `EXPLAIN`; *options* is whether ANALYZE and VERBOSE follow it."""
        return Explain(select, *(options or (False, False)))

    def analyze(self, analyze: Token, verbose: Token | None) -> tuple[bool, bool]:
        """Returns whether VERBOSE follows ANALYZE, after True for ANALYZE itself."""
        return True, verbose is not None

    def explain_verbose(self, verbose: Token) -> tuple[bool, bool]:
        """Returns the options of `EXPLAIN VERBOSE` (1.12)."""
        return False, True

    def create_continuous_query(
        self, name: Token, database: Token, resample: tuple[int, int], select: Select
    ) -> CreateContinuousQuery:
        """Returns the statement `CREATE CONTINUOUS QUERY`; *resample* holds EVERY and FOR.

        Raises BadValue if FOR is shorter than EVERY or than the interval of GROUP BY time(..).
        """
        every, for_ = resample
        shortest = max(_interval(select), every)
        if for_ and shortest > for_:
            raise BadValue(
                "FOR duration must be >= GROUP BY time duration: must be a minimum of"
                f" {format_duration(shortest)}, got {format_duration(for_)}"
            )
        return CreateContinuousQuery(name.value, database.value, select, every, for_)

    def resample(self, *spans: tuple[str, int] | None) -> tuple[int, int]:
        """Returns the nanoseconds of EVERY and of FOR; 0 stands for a missing duration.

        Raises NoResample if all given durations are 0.
        """
        durations = dict(span for span in spans if span is not None)
        if spans and not any(durations.values()):
            raise NoResample
        return durations.get("every", 0), durations.get("for", 0)

    def resample_every(self, span: Token) -> tuple[str, int]:
        """Returns the key "every", and the duration *span* of RESAMPLE EVERY in nanoseconds."""
        return "every", literals.nanoseconds(span)

    def resample_for(self, span: Token) -> tuple[str, int]:
        """Returns the key "for", and the duration *span* of RESAMPLE FOR in nanoseconds."""
        return "for", literals.nanoseconds(span)

    # ---- fields, sources, targets

    def fields(self, *fields: Field) -> tuple[Field, ...]:
        """Returns the fields of SELECT."""
        return fields

    def field(self, expression: Expression | Token, alias: Token | None) -> Field:
        """Returns a field of SELECT.

        Raises ConditionInField if the field contains a comparison, AND or OR.
        """
        if isinstance(expression, Token):
            expression = literals.regex(expression)
        elif operator := last_conditional(expression):
            raise ConditionInField(operator)
        return Field(expression, alias.value if alias is not None else "")

    def into(self, target: Target | None = None) -> Target | None:
        """Returns the target of INTO, or None if INTO is missing."""
        return target

    def target(self, *path: Token) -> Target:
        """Returns the target of INTO. Raises BadValue for three names before `:MEASUREMENT`."""
        segments = path_segments(tuple(token for token in path if token.type != "COLON"))
        if path[-1].type == "COLON":
            if len(segments) == 3:
                raise BadValue("found :, expected FROM", path[-1])
            segments.append("")
        database, policy, name = _pad_left(segments, 3)
        return Target(name, policy, database)

    def sources(self, *sources: Source) -> tuple[Source, ...]:
        """Returns the sources of FROM."""
        return sources

    def subquery(self, select: Select) -> Subquery:
        """Returns *select* as a subquery, a source of FROM."""
        return Subquery(select)

    def measurement(self, *path: Token) -> Measurement:
        """Returns a measurement. Raises BadValue for three names before a regular expression."""
        if path[-1].type == "REGEX":
            segments = path_segments(path[:-1])
            if len(segments) == 3:
                slash = Token("SLASH", "/", start_pos=path[-1].start_pos)
                raise BadValue("found /, expected ;", slash)
            database, policy = _pad_left(segments, 2)
            return Measurement("", policy, database, literals.regex(path[-1]))
        database, policy, name = _pad_left(path_segments(path), 3)
        return Measurement(name, policy, database)

    # ---- clauses

    def on(self, database: Token | None = None) -> str:
        """Returns the database of the clause ON, or "" if ON is missing."""
        return database.value if database is not None else ""

    def exact(self, exact: Token | None = None) -> bool:
        """Returns whether the statement has the keyword EXACT."""
        return exact is not None

    def measurements(self, *measurements: Measurement) -> tuple[Measurement, ...]:
        """Returns the measurements of FROM."""
        return measurements

    def from_measurements(
        self, measurements: tuple[Measurement, ...] = ()
    ) -> tuple[Measurement, ...]:
        """Returns the measurements of FROM, or an empty tuple if FROM is missing."""
        return measurements

    def where(self, condition: Expression | None = None) -> Expression | None:
        """Returns the condition of WHERE, or None if WHERE is missing."""
        return condition

    def where_only(self, condition: Expression) -> Expression:
        """Returns the condition of WHERE in a rule that requires WHERE."""
        return condition

    def group_by(self, *dimensions: Expression) -> tuple[Expression, ...]:
        """Returns the dimensions of GROUP BY."""
        return dimensions

    def order_by(self, *fields: SortField | bool) -> SortField | None:
        """Returns the field of ORDER BY, or None if ORDER BY is missing.

        Raises BadValue for several fields, or for a field other than `time`.
        """
        if not fields:
            return None
        first = fields[0]
        if isinstance(first, bool):
            first = SortField("", first)
        if first.name not in ("", "time") or len(fields) > 1:
            raise BadValue("only ORDER BY time supported at this time")
        return first

    def sort_field(self, name: Token, ascending: bool | None) -> SortField:
        """Returns a field of ORDER BY; *ascending* is None without a direction, which means ASC."""
        return SortField(name.value, ascending is not False)

    def direction(self, word: Token) -> bool:
        """Returns whether the direction *word* is ASC."""
        return word.type == "ASC"

    def limit(self, count: Token | None = None) -> int:
        """Returns the number after LIMIT, OFFSET, SLIMIT or SOFFSET, or 0 if there is none."""
        return literals.count(count) if count is not None else 0

    offset = slimit = soffset = limit

    def fill(
        self,
        word: Token | None = None,
        paren: Token | None = None,
        arguments: Sequence[Expression] | None = None,
    ) -> Fill | None:
        """Returns the clause that fills intervals without data, or None for null, the default.

        A missing clause stands for the default. Raises BadValue if the parentheses are missing or
        the argument is invalid.
        """
        if word is None:
            return None
        argument = _argument(
            paren,
            arguments,
            "fill must be a function call",
            "fill requires an argument, e.g.: 0, null, none, previous, linear",
        )
        match argument:
            case VarRef("null", ""):
                return None
            case VarRef("none" | "previous" | "linear" as how, ""):
                return Fill(how)
            case NumberLiteral(value) | IntegerLiteral(value):
                return Fill(value)
            case _:
                raise BadValue("expected number argument in fill()")

    def timezone(
        self,
        word: Token | None = None,
        paren: Token | None = None,
        arguments: Sequence[Expression] | None = None,
    ) -> str:
        """Returns the name of the time zone in tz(), or "" if tz() is missing.

        Raises BadValue if tz() is malformed or the time zone is unknown.
        """
        if word is None:
            return ""
        argument = _argument(
            paren, arguments, "tz must be a function call", "tz requires exactly one argument"
        )
        if not isinstance(argument, StringLiteral):
            raise BadValue("expected string argument in tz()")
        name = argument.value
        if name in ("", "UTC"):
            return "UTC"
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadValue(f"unable to find time zone {name}") from None
        return name


def _argument(
    paren: Token | None, arguments: Sequence[Expression] | None, no_call: str, wrong_count: str
) -> Expression:
    """Returns the only argument of fill() or tz().

    Raises BadValue with the message *no_call* if the parentheses are missing. Raises BadValue with
    the message *wrong_count* if there are no arguments or several.
    """
    if paren is None:
        raise BadValue(no_call)
    if arguments is None or len(arguments) != 1:
        raise BadValue(wrong_count)
    return arguments[0]


def _pad_left(segments: list[str], length: int) -> list[str]:
    """Returns the last *length* items of *segments*, with "" on the left if there are fewer."""
    return [*[""] * (length - len(segments)), *segments][-length:]


def _interval(select: Select) -> int:
    """Returns the interval of GROUP BY time(..) in nanoseconds.

    If time(..) is missing and *select* calls no function, returns 0.

    Raises:
        BadValue: time(..) is invalid, and *select* calls no function.
        NoInterval: time(..) is invalid, missing or 0, and *select* calls a function.
    """
    try:
        interval = select.interval()
    except ValueError as error:
        if select.raw:
            raise BadValue(str(error)) from None
        raise NoInterval(str(error)) from None
    if interval == 0 and not select.raw:
        raise NoInterval
    return interval
