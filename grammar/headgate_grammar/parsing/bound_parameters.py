"""Replaces bound parameters, `$name` in an InfluxQL text, with values that are passed separately.

A parameter stands for one token. Its value is a string, a number or a bool. To set the type of the
token, the value is an object with the type as its only key: `{"identifier": "my db"}`.

A value with a carriage return, a NUL or half of a surrogate pair is rejected. InfluxDB would read a
carriage return as a line feed, and a NUL as the end of the text. Half of a surrogate pair is not a
character.
"""

import re
from collections.abc import Mapping
from math import isfinite

from lark import Token

from headgate_grammar.ast.expressions import fixed_point
from headgate_grammar.text.durations import format_duration, parse_duration

INT64 = 1 << 63
_UNPRINTABLE = re.compile("[\r\0\ud800-\udfff]")


class UnprintableValue(Exception):
    """The value of a parameter cannot be printed in a statement."""

    def __init__(self) -> None:
        super().__init__(
            "a parameter's value holds a carriage return, a NUL or half of a surrogate pair"
        )


def bind(token: Token, parameters: Mapping[str, object]) -> Token:
    """Returns the token for the value of *token*, a bound parameter such as `$name`.

    *parameters* holds the values by name, without the `$`. If the name is empty or missing there,
    *token* itself is returned. For a value of a wrong type, the result is a token of type
    BOUND_ERROR with the error message as its value.

    Raises UnprintableValue if the value holds a carriage return, a NUL or half of a surrogate pair.
    """
    name = token.value[1:]
    if not name or name not in parameters:
        return token
    kind, value = _literal(parameters[name])
    if _UNPRINTABLE.search(value):
        raise UnprintableValue
    return Token(kind, value, start_pos=token.start_pos, end_pos=token.end_pos)


def _literal(value: object) -> tuple[str, str]:
    match value:
        case bool():
            return str(value).upper(), str(value).lower()
        case str():
            return "STRING", value
        case int() if -INT64 <= value < INT64:
            return "INTEGER", str(value)
        case float() if isfinite(value):
            return "NUMBER", fixed_point(value).removesuffix(".0")
        case Mapping() if len(value) != 1:
            return _bind_error("bound object parameter value must have exactly one entry")
        case Mapping():
            ((kind, inner),) = value.items()
            return _typed_literal(str(kind), inner)
        case _:
            go = {type(None): "<nil>", list: "[]interface {}", int: "json.Number"}
            return _bind_error(
                f"unable to bind parameter with type {go.get(type(value), type(value).__name__)}"
            )


def _typed_literal(kind: str, value: object) -> tuple[str, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind, value:
        case ("ident" | "identifier", str()):
            return "IDENT", value
        case ("ident" | "identifier", _):
            return _bind_error("identifier must be a string value")
        case ("string", str()):
            return "STRING", value
        case ("string", _):
            return _bind_error("string literal must be a string value")
        case ("regex", str()):
            return "REGEX", value
        case ("regex", _):
            return _bind_error("regex literal must be a string value")
        case ("float" | "number", int() | float()) if number and abs(value) < 2**1023:
            return "NUMBER", fixed_point(float(value)).removesuffix(".0")
        case ("float" | "number", _):
            return _bind_error("number literal must be a float value")
        case ("int" | "integer", int()) if number and -INT64 <= value < INT64:
            return "INTEGER", str(value)
        case ("int" | "integer", _):
            return _bind_error("integer literal must be an integer value")
        case ("duration", str()):
            return _duration(value)
        case ("duration", int()) if number and -INT64 <= value < INT64:
            return "DURATION_LITERAL", format_duration(value)
        case ("duration", _):
            return _bind_error("duration literal must be a string or integer value")
        case _:
            return _bind_error(f"unknown bind object type: {kind}")


def _duration(text: str) -> tuple[str, str]:
    try:
        return "DURATION_LITERAL", format_duration(parse_duration(text))
    except ValueError as error:
        return _bind_error(str(error))


def _bind_error(message: str) -> tuple[str, str]:
    return "BOUND_ERROR", message


def missing_parameter_message(token: Token) -> str:
    """Returns the error message for the bound parameter *token*, which lacks a valid value."""
    if token.type == "BOUND_ERROR":
        return f"missing parameter: {token}"
    return f"missing parameter: {token[1:]}" if token[1:] else "empty bound parameter"
