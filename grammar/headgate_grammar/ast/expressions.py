"""Expressions in SELECT and WHERE: one frozen dataclass for each kind of expression.

`str(expression)` is InfluxDB 1.8's text, except where that text would be parsed as something else.
"""

from dataclasses import dataclass

from headgate_grammar.text.durations import format_duration
from headgate_grammar.text.quoting import quote_identifier, quote_regex, quote_string


@dataclass(frozen=True, slots=True)
class VarRef:
    """A reference to a field or tag; *type* is the type of a cast `name::type`, or ""."""

    name: str
    type: str = ""

    def __str__(self) -> str:
        return quote_identifier(self.name) + (f"::{self.type}" if self.type else "")


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The wildcard `*`; *type* is `field` or `tag`, or "" for both."""

    type: str = ""

    def __str__(self) -> str:
        return f"*::{self.type}" if self.type else "*"


@dataclass(frozen=True, slots=True)
class Distinct:
    """The expression `DISTINCT name`; `distinct(name)` is a `Call` instead."""

    name: str

    def __str__(self) -> str:
        return f"DISTINCT {quote_identifier(self.name)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; *name* is in lower case."""

    name: str
    arguments: tuple["Expression", ...] = ()

    def __str__(self) -> str:
        # DISTINCT is the only keyword that is also a function; it is printed without quotes.
        name = self.name if self.name == "distinct" else quote_identifier(self.name)
        return f"{name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string literal. A time is a string literal, too, as in `time > '2026-01-01'`."""

    value: str

    def __str__(self) -> str:
        return quote_string(self.value)


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A floating-point number."""

    value: float

    def __str__(self) -> str:
        short = f"{self.value:.3f}"
        # InfluxDB always prints three digits. Here all digits are printed if three lose precision.
        return short if float(short) == self.value else fixed_point(self.value)


@dataclass(frozen=True, slots=True)
class IntegerLiteral:
    """A 64-bit integer: signed, or unsigned if it exceeds int64."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class BooleanLiteral:
    """`true` or `false`."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class DurationLiteral:
    """A duration in nanoseconds."""

    value: int

    def __str__(self) -> str:
        return format_duration(self.value)


@dataclass(frozen=True, slots=True)
class RegexLiteral:
    """A regular expression in RE2's syntax."""

    pattern: str

    def __str__(self) -> str:
        return quote_regex(self.pattern)


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses."""

    inner: "Expression"

    def __str__(self) -> str:
        return f"({self.inner})"


@dataclass(frozen=True, slots=True)
class Operation:
    """A left-associative chain of operators of equal precedence: `first op operand op operand`.

    *rest* holds pairs of an operator and its right operand. The chain is flat, so that a condition
    of ten thousand ORs causes no deep recursion.
    """

    first: "Expression"
    rest: tuple[tuple[str, "Expression"], ...]

    def __str__(self) -> str:
        # A loop, because a generator would need another frame for every nested level.
        text = [str(self.first)]
        for operator, operand in self.rest:
            text.append(f" {operator} {operand}")
        return "".join(text)


Expression = (
    VarRef
    | Wildcard
    | Distinct
    | Call
    | StringLiteral
    | NumberLiteral
    | IntegerLiteral
    | BooleanLiteral
    | DurationLiteral
    | RegexLiteral
    | Paren
    | Operation
)

# Operators that compare or combine comparisons, which are allowed in WHERE only.
CONDITIONAL = frozenset({"=", "!=", "=~", "!~", "<", "<=", ">", ">=", "AND", "OR"})


def last_conditional(expression: Expression) -> str:
    """Returns the operator of `CONDITIONAL` in *expression* that InfluxDB's error names, or "".

    Such an operator is invalid in a field of SELECT. Of several operators, the error names the
    outermost operator. If several operators are outermost, the error names the last of these.
    """
    found = ""
    match expression:
        case Operation(_, rest) if rest[-1][0] in CONDITIONAL:
            return rest[-1][0]
        case Operation(first, rest):
            for operand in (first, *(operand for _, operand in rest)):
                found = last_conditional(operand) or found
        case Paren(inner):
            return last_conditional(inner)
        case Call(_, arguments):
            for argument in arguments:
                found = last_conditional(argument) or found
        case _:
            pass
    return found


def fixed_point(value: float) -> str:
    """Returns *value* without an exponent, in the fewest digits that parse to the same float."""
    text = repr(value)
    if "e" not in text:
        return text
    digits, _, exponent = text.partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    shift = int(exponent)
    if shift < 0:
        return f"{sign}0.{'0' * (-shift - 1)}{whole}{fraction}"
    return f"{sign}{whole}{fraction.ljust(shift, '0')[:shift]}.{fraction[shift:] or '0'}"
