"""Numbers, durations and regular expressions from their tokens, checked as InfluxDB checks them."""

from lark import Token

from headgate_grammar.durations import parse_duration
from headgate_grammar.expressions import (
    DurationLiteral,
    IntegerLiteral,
    NumberLiteral,
    RegexLiteral,
)
from headgate_grammar.regexes import BadRegex, check_regex

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
    if len(token) > 20 or int(token) >= 2 * INT64:
        raise BadValue("unable to parse integer", token)
    return IntegerLiteral(int(token))


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
    return RegexLiteral(token.value)


def replication(token: Token) -> int:
    if len(token) > 19 or int(token) >= INT64:
        raise BadValue(f'strconv.Atoi: parsing "{token}": value out of range', token)
    if not 1 <= int(token) <= _LARGEST_REPLICATION:
        raise BadValue(
            f"invalid value {int(token)}: must be 1 <= n <= {_LARGEST_REPLICATION}", token
        )
    return int(token)


def identity(token: Token) -> int:
    """The number of a query or a shard."""
    if len(token) > 20 or int(token) >= 2 * INT64:
        raise BadValue(f'strconv.ParseUint: parsing "{token}": value out of range', token)
    return int(token)


def count(token: Token) -> int:
    """The number after LIMIT and the like; one that is too large is as large as can be."""
    return min(int(token), INT64 - 1) if len(token) < 30 else INT64 - 1
