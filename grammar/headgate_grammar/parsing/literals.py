"""Converts tokens to numbers, durations and regular expressions, with InfluxDB's checks."""

from lark import Token

from headgate_grammar.ast.expressions import (
    DurationLiteral,
    IntegerLiteral,
    NumberLiteral,
    RegexLiteral,
)
from headgate_grammar.text.durations import parse_duration
from headgate_grammar.text.quoting import printable_regex
from headgate_grammar.text.regexes import BadRegex, check_regex

INT64 = 1 << 63
_MAX_REPLICATION = (1 << 31) - 1


class BadValue(Exception):
    """A well-formed token with a value that InfluxQL rejects.

    *token* is the rejected token, or None where InfluxDB reports no position.
    """

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message)
        self.token = token


def integer(token: Token) -> IntegerLiteral:
    """Returns the 64-bit integer *token*: signed, or unsigned if it exceeds int64.

    Raises BadValue if the integer exceeds 64 bits.
    """
    value = _value(token)
    if value >= 2 * INT64:
        raise BadValue("unable to parse integer", token)
    return IntegerLiteral(value)


def number(token: Token) -> NumberLiteral:
    """Returns the floating-point number *token*. Raises BadValue if the number is too large."""
    value = float(token)
    if value == float("inf"):
        raise BadValue("unable to parse number", token)
    return NumberLiteral(value)


def nanoseconds(token: Token) -> int:
    """Returns the nanoseconds of the duration *token*.

    Raises BadValue if the duration is invalid; the error holds *token*, for its position.
    """
    try:
        return parse_duration(token)
    except ValueError as error:
        raise BadValue(str(error), token) from None


def duration(token: Token) -> DurationLiteral:
    """Returns the duration *token* of an expression.

    Raises BadValue if the duration is invalid; the error holds no token.
    """
    try:
        return DurationLiteral(parse_duration(token))
    except ValueError as error:
        raise BadValue(str(error)) from None  # InfluxDB reports no position in an expression


def regex(token: Token) -> RegexLiteral:
    """Returns the regular expression *token*. Raises BadValue if the expression is invalid."""
    try:
        check_regex(token)
    except BadRegex as error:
        raise BadValue(str(error), token) from None
    return RegexLiteral(printable_regex(token.value))


def replication(token: Token) -> int:
    """Returns the number *token* in the option REPLICATION of a retention policy.

    It is the number of copies of the data. Raises BadValue if the number is out of range.
    """
    value = _value(token)
    if value >= INT64:
        raise BadValue(f'strconv.Atoi: parsing "{token}": value out of range', token)
    if not 1 <= value <= _MAX_REPLICATION:
        raise BadValue(f"invalid value {value}: must be 1 <= n <= {_MAX_REPLICATION}", token)
    return value


def object_id(token: Token) -> int:
    """Returns the id *token* of KILL QUERY or DROP SHARD. Raises BadValue if it is out of range."""
    value = _value(token)
    if value < 0:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": invalid syntax', token)
    if value >= 2 * INT64:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": value out of range', token)
    return value


def count(token: Token) -> int:
    """Returns the number *token* after LIMIT, OFFSET and the like, capped at the largest int64.

    Raises BadValue if the number is negative.
    """
    value = _value(token)
    if value < 0:  # possible for a bound parameter only
        raise BadValue(f"invalid value {value}: must be 0 <= n <= {INT64 - 1}", token)
    return min(value, INT64 - 1)


def _value(token: Token) -> int:
    """Returns the number of *token*, or 10**30 if it has more than 30 digits.

    Python's int() rejects thousands of digits; the callers reject or cap any number this large.
    """
    digits = token.lstrip("0") or "0"
    return int(digits) if len(digits) <= 30 else 10**30
