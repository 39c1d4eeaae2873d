"""What SELECT computes and WHERE compares: one frozen dataclass per kind of expression.

`str(expression)` is InfluxDB 1.8's text for it, except where that text would mean something else
when it is read again.
"""

from dataclasses import dataclass

from headgate_grammar.text.durations import format_duration
from headgate_grammar.text.quoting import quote_identifier, quote_regex, quote_string


@dataclass(frozen=True, slots=True)
class VarRef:
    """A field or tag by name; *type* is what `::` casts it to, "" for nothing."""

    name: str
    type: str = ""

    def __str__(self) -> str:
        return quote_identifier(self.name) + (f"::{self.type}" if self.type else "")


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*`; *type* is `field`, `tag` or ""."""

    type: str = ""

    def __str__(self) -> str:
        return f"*::{self.type}" if self.type else "*"


@dataclass(frozen=True, slots=True)
class Distinct:
    """`DISTINCT name`, which is not a call."""

    name: str

    def __str__(self) -> str:
        return f"DISTINCT {quote_identifier(self.name)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; names are in lower case."""

    name: str
    arguments: tuple["Expression", ...] = ()

    def __str__(self) -> str:
        # The one keyword that may be called.
        name = self.name if self.name == "distinct" else quote_identifier(self.name)
        return f"{name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string. Times are strings, too: what they mean depends on what they are compared with."""

    value: str

    def __str__(self) -> str:
        return quote_string(self.value)


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number with a fraction."""

    value: float

    def __str__(self) -> str:
        short = f"{self.value:.3f}"
        # InfluxDB prints three digits, whatever they leave out.
        return short if float(short) == self.value else fixed_point(self.value)


@dataclass(frozen=True, slots=True)
class IntegerLiteral:
    """A whole number of 64 bits, signed, or unsigned where it is too large for that."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class BooleanLiteral:
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class DurationLiteral:
    """A length of time in nanoseconds."""

    value: int

    def __str__(self) -> str:
        return format_duration(self.value)


@dataclass(frozen=True, slots=True)
class RegexLiteral:
    """A regular expression in the syntax of RE2."""

    pattern: str

    def __str__(self) -> str:
        return quote_regex(self.pattern)


@dataclass(frozen=True, slots=True)
class Paren:
    inner: "Expression"

    def __str__(self) -> str:
        return f"({self.inner})"


@dataclass(frozen=True, slots=True)
class Operation:
    """A chain of operators that bind equally, from left to right: `first op operand op operand`.

    Flat, however long it is: a condition of ten thousand ORs is no tower to fall from.
    """

    first: "Expression"
    rest: tuple[tuple[str, "Expression"], ...]

    def __str__(self) -> str:
        # A loop: a generator would take another frame for every level that is nested.
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

# Operators that compare or combine comparisons: they belong into WHERE.
CONDITIONAL = frozenset({"=", "!=", "=~", "!~", "<", "<=", ">", ">=", "AND", "OR"})


def last_conditional(expression: Expression) -> str:
    """The operator that keeps *expression* out of a SELECT clause, "" if there is none.

    Where there are several it is the one that InfluxDB happens to name: the outermost, or of
    several such the last.
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
    """*value* without an exponent, with the fewest digits that stand for it."""
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
