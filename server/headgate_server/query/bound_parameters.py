"""Parses the parameter `params` of /query: a JSON object that binds values to `$name`s in `q`."""

import json
from typing import NoReturn

from headgate_server.http.errors import BadRequest

_INT64_LIMIT = 1 << 63
_LITERALS = ("true", "false", "null")


def parse_parameters(text: str) -> dict[str, object]:
    """Returns the JSON object in *text*. Raises BadRequest if *text* is not a JSON object.

    Returns an empty dictionary for "" and `null`. As in InfluxDB 1.8, a number without a
    decimal point is an integer, and text after the object is ignored.
    """
    if not text:
        return {}
    try:
        value, _ = _DECODER.raw_decode(text.lstrip(" \t\r\n"))
    except json.JSONDecodeError as error:
        raise BadRequest(f"error parsing query parameters: {_go_error_message(error)}") from None
    except RecursionError:
        raise BadRequest("error parsing query parameters: exceeded max depth") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        raise BadRequest(
            "error parsing query parameters: json: cannot unmarshal"
            f" {kind} into Go value of type map[string]interface {{}}"
        )
    return value


def _parse_integer(text: str) -> int:
    # The length is checked first: Python refuses to convert very many digits.
    if len(text) > 20 or not -_INT64_LIMIT <= int(text) < _INT64_LIMIT:
        raise BadRequest(
            f'error parsing json value: strconv.ParseInt: parsing "{text}": value out of range'
        )
    return int(text)


def _parse_float(text: str) -> float:
    if "." not in text:
        raise BadRequest(
            f'error parsing json value: strconv.ParseInt: parsing "{text}": invalid syntax'
        )
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadRequest(
            f'error parsing json value: strconv.ParseFloat: parsing "{text}": value out of range'
        )
    return number


def _reject_constant(name: str) -> NoReturn:
    # NaN and Infinity are extensions of Python, invalid in JSON.
    raise json.JSONDecodeError("Expecting value", name, 0)


_DECODER = json.JSONDecoder(
    parse_int=_parse_integer, parse_float=_parse_float, parse_constant=_reject_constant
)


def _go_error_message(error: json.JSONDecodeError) -> str:
    """Returns the text of *error* as Go's JSON parser writes it, which clients of InfluxDB expect.

    Where Go's text cannot be derived, returns the text of Python's parser.
    """
    rest = error.doc[error.pos :]
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    for literal in _LITERALS:
        if rest[0] == literal[0]:
            for found, wanted in zip(rest, literal, strict=False):
                if found != wanted:
                    return (
                        f"invalid character '{found}' in literal {literal} (expecting '{wanted}')"
                    )
            return "unexpected EOF"
    if error.msg == "Expecting value":
        return f"invalid character '{rest[0]}' looking for beginning of value"
    return f"{error.msg} at character {error.pos + 1}"
