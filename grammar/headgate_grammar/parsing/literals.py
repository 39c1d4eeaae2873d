"""Numbers, durations and regular expressions from their tokens, checked as InfluxDB checks them."""

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
_LARGEST_REPLICATION = (1 << 31) - 1


class BadValue(Exception):
    """A token that is well formed, but whose value InfluxQL refuses.

    *token* is where, None where InfluxDB does not say.
    """

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message)
        self.token = token


def integer(token: Token) -> IntegerLiteral:
    """A number of 64 bits: signed, or unsigned if it is too large."""
    value = _value(token)
    if value >= 2 * INT64:
        raise BadValue("unable to parse integer", token)
    return IntegerLiteral(value)


def number(token: Token) -> NumberLiteral:
    value = float(token)
    if value == float("inf"):
        raise BadValue("unable to parse number", token)
    return NumberLiteral(value)


def nanoseconds(token: Token) -> int:
    try:
        return parse_duration(token)
    except ValueError as error:
        raise BadValue(str(error), token) from None


def duration(token: Token) -> DurationLiteral:
    try:
        return DurationLiteral(parse_duration(token))
    except ValueError as error:
        raise BadValue(str(error)) from None  # in an expression InfluxDB does not say where


def regex(token: Token) -> RegexLiteral:
    try:
        check_regex(token)
    except BadRegex as error:
        raise BadValue(str(error), token) from None
    return RegexLiteral(printable_regex(token.value))


def replication(token: Token) -> int:
    value = _value(token)
    if value >= INT64:
        raise BadValue(f'strconv.Atoi: parsing "{token}": value out of range', token)
    if not 1 <= value <= _LARGEST_REPLICATION:
        raise BadValue(f"invalid value {value}: must be 1 <= n <= {_LARGEST_REPLICATION}", token)
    return value


def identity(token: Token) -> int:
    """The number of a query or a shard."""
    value = _value(token)
    if value < 0:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": invalid syntax', token)
    if value >= 2 * INT64:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": value out of range', token)
    return value


def count(token: Token) -> int:
    """The number after LIMIT and the like; one that is too large is as large as can be."""
    value = _value(token)
    if value < 0:  # only a parameter can be
        raise BadValue(f"invalid value {value}: must be 0 <= n <= {INT64 - 1}", token)
    return min(value, INT64 - 1)


def _value(token: Token) -> int:
    """The number that *token* is; of very many digits, which Python does not read, a large one."""
    digits = token.lstrip("0") or "0"
    return int(digits) if len(digits) <= 30 else 10**30
