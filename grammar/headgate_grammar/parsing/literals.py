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
    """The value of a well-formed token is invalid, such as a number that is too large.

    *token* is the rejected token, or None where InfluxDB reports no position.
    """

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message)
        self.token = token


def integer(token: Token) -> IntegerLiteral:
    """Returns *token* as an integer literal: an int64, or a uint64 if it exceeds int64.

    Raises BadValue if the integer exceeds uint64.
    """
    value = _value(token)
    if value >= 2 * INT64:
        raise BadValue("unable to parse integer", token)
    return IntegerLiteral(value)


def number(token: Token) -> NumberLiteral:
    """Returns *token* as a floating-point literal. Raises BadValue if it is too large."""
    value = float(token)
    if value == float("inf"):
        raise BadValue("unable to parse number", token)
    return NumberLiteral(value)


def nanoseconds(token: Token) -> int:
    """Returns the duration *token*, such as `1h`, in nanoseconds.

    Raises BadValue if the duration is invalid. The error holds *token*, because InfluxDB reports
    its position.
    """
    try:
        return parse_duration(token)
    except ValueError as error:
        raise BadValue(str(error), token) from None


def duration(token: Token) -> DurationLiteral:
    """Returns *token* as a duration literal of an expression.

    Raises BadValue if the duration is invalid. The error holds no token, because InfluxDB reports
    no position in an expression.
    """
    try:
        return DurationLiteral(parse_duration(token))
    except ValueError as error:
        raise BadValue(str(error)) from None  # InfluxDB reports no position in an expression


def regex(token: Token) -> RegexLiteral:
    """Returns *token* as a regular expression literal. Raises BadValue if it is invalid."""
    try:
        check_regex(token)
    except BadRegex as error:
        raise BadValue(str(error), token) from None
    return RegexLiteral(printable_regex(token.value))


def replication(token: Token) -> int:
    """Returns the value *token* of the option REPLICATION, the number of copies of the data.

    Raises BadValue if the number is 0, negative, or above the maximum of int32.
    """
    value = _value(token)
    if value >= INT64:
        raise BadValue(f'strconv.Atoi: parsing "{token}": value out of range', token)
    if not 1 <= value <= _MAX_REPLICATION:
        raise BadValue(f"invalid value {value}: must be 1 <= n <= {_MAX_REPLICATION}", token)
    return value


def object_id(token: Token) -> int:
    """Returns the id *token* of KILL QUERY or DROP SHARD as an int.

    Raises BadValue if the id is negative or exceeds uint64.
    """
    value = _value(token)
    if value < 0:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": invalid syntax', token)
    if value >= 2 * INT64:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": value out of range', token)
    return value


def count(token: Token) -> int:
    """Returns the number *token* after LIMIT, OFFSET, SLIMIT or SOFFSET, at most the largest int64.

    Raises BadValue if the number is negative.
    """
    value = _value(token)
    if value < 0:  # possible for a bound parameter only
        raise BadValue(f"invalid value {value}: must be 0 <= n <= {INT64 - 1}", token)
    return min(value, INT64 - 1)


def _value(token: Token) -> int:
    """Returns *token* as an int, or 10**30 if it has more than 30 digits.

    Python's int() rejects thousands of digits; the callers reject or cap any number this large.
    """
    digits = token.lstrip("0") or "0"
    return int(digits) if len(digits) <= 30 else 10**30
