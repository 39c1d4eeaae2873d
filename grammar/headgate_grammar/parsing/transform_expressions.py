"""Builds the expressions of SELECT and WHERE from parsed InfluxQL.

Each method builds the result of the grammar rule with the same name.
"""

from lark import Token, Transformer

from headgate_grammar.ast.expressions import (
    BooleanLiteral,
    Call,
    Distinct,
    DurationLiteral,
    Expression,
    IntegerLiteral,
    NumberLiteral,
    Operation,
    Paren,
    RegexLiteral,
    StringLiteral,
    VarRef,
    Wildcard,
)
from headgate_grammar.parsing import literals
from headgate_grammar.parsing.inline import inline
from headgate_grammar.parsing.literals import INT64, BadValue
from headgate_grammar.text.quoting import quote_identifier

_TYPES = ("float", "integer", "unsigned", "string", "boolean")


def path_segments(path: tuple[Token, ...]) -> list[str]:
    """Returns the names in *path*, the IDENT and DOT tokens of a dotted name.

    A missing name between two dots, as in `db..name`, is "". Raises BadValue for more than three
    names.
    """
    found: list[str] = []
    after_dot = False
    for token in path:
        if token.type != "DOT":
            found.append(token.value)
        elif after_dot:
            found.append("")
        after_dot = token.type == "DOT"
    if len(found) > 3:
        quoted = [f'"{name}"' if name else "" for name in found[1:-1]]
        text = ".".join([f'"{found[0]}"', *quoted, quote_identifier(found[-1])])
        raise BadValue(f"too many segments in {text} at line 1, char 1")
    return found


@inline
class ExpressionRules(Transformer[Token, object]):
    """Lark's transformer for expressions."""

    def expression(self, first: Expression, *rest: Token | Expression) -> Operation:
        """Returns a chain of operators of equal precedence, such as `a + b - c`.

        *rest* holds operators and operands in turn.
        """
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return Operation(first, tuple((_operator(op), operand) for op, operand in pairs))  # type: ignore[misc]

    conjunction = comparison = sum = regex_sum = expression

    def product(self, first: Expression, *rest: Token | Expression) -> Operation:
        """Returns a chain of the operators `*`, `/`, `%` and `&`, such as `a * b / c`.

        If *first* is a signed operand `-x`, it is already the chain `-1 * x`. The operators and
        operands in *rest* are then added to this chain.
        """
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        links = tuple((_operator(op), _parenthesize(operand)) for op, operand in pairs)
        if isinstance(first, Operation):  # -x
            return Operation(first.first, first.rest + links)
        return Operation(first, links)

    regex_product = product

    def sign(self, sign: Token, operand: Expression) -> Expression:
        """Returns *operand* with the sign: a signed literal, or the product `-1 * x` for `-x`.

        As in InfluxDB, `+x` becomes `1 * x`. Raises BadValue if an integer literal is less than the
        minimum of int64.
        """
        factor = -1 if sign.type == "MINUS" else 1
        match operand:
            case NumberLiteral(value):
                return NumberLiteral(factor * value)
            case DurationLiteral(value):
                return DurationLiteral(factor * value)
            case IntegerLiteral(value):
                if value > INT64 and factor < 0:
                    raise BadValue(f"constant -{value} underflows int64")
                return IntegerLiteral(factor * value)
            case _:
                return Operation(IntegerLiteral(factor), (("*", operand),))

    # ---- operands

    def string(self, token: Token) -> StringLiteral:
        """Returns a string literal."""
        return StringLiteral(token.value)

    def boolean(self, token: Token) -> BooleanLiteral:
        """Returns a boolean literal."""
        return BooleanLiteral(token.type == "TRUE")

    def number(self, token: Token) -> NumberLiteral:
        """Returns a floating-point literal."""
        return literals.number(token)

    def integer(self, token: Token) -> IntegerLiteral:
        """Returns an integer literal."""
        return literals.integer(token)

    def duration_literal(self, token: Token) -> DurationLiteral:
        """Returns a duration literal."""
        return literals.duration(token)

    def regex(self, token: Token) -> RegexLiteral:
        """Returns a regular expression."""
        return literals.regex(token)

    def paren(self, inner: Expression) -> Paren:
        """Returns an expression in parentheses."""
        return Paren(inner)

    def wildcard(self, star: Token, cast: Token | None, type: Token | None) -> Wildcard:
        """Returns the wildcard `*`, with the type of `*::field` or `*::tag` in lower case."""
        return Wildcard(type.value.lower() if type is not None else "")

    def distinct(self, keyword: Token, name: Token) -> Distinct:
        """Returns the expression `DISTINCT name`."""
        return Distinct(name.value)

    def call(self, name: Token, paren: Token, arguments: tuple[Expression, ...] | None) -> Call:
        """Returns a function call."""
        return Call(name.value.lower(), arguments or ())

    def arguments(self, *arguments: Expression) -> tuple[Expression, ...]:
        """Returns the arguments of a function call as a tuple."""
        return arguments

    def var_ref(self, *path: Token | None) -> VarRef:
        """Returns a reference to a field or tag, with the type of a cast such as `a::float`."""
        *segments, cast, type = path
        name = ".".join(path_segments(tuple(token for token in segments if token is not None)))
        return VarRef(name, type.value.lower() if cast is not None and type is not None else "")


def _operator(token: object) -> str:
    assert isinstance(token, Token)
    return "!=" if token.type == "NOT_EQUAL" else str(token).upper()


def _parenthesize(operand: object) -> Expression:
    # InfluxDB prints `a / -x` as `a / -1 * x`, which has another meaning.
    return Paren(operand) if isinstance(operand, Operation) else operand  # type: ignore[return-value]
