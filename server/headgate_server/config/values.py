"""Reads the options of a table of the configuration file into the fields of a dataclass.

The type of a field's default value determines which values its option accepts. A float default
stands for a duration, a tuple for a list of strings.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from headgate_grammar import parse_duration

_NANOSECONDS_PER_SECOND = 1_000_000_000

Read = Callable[[Any], Any]


def read_options(
    kind: type, given: Mapping[str, Any], special: Mapping[str, Read] | None = None
) -> dict[str, Any]:
    """Reads the options in *given*, and returns their values as arguments for the dataclass *kind*.

    An option such as `cache-ttl` sets the field `cache_ttl`. If *special* has a function for an
    option, that function reads the option. If not, the type of the field's default decides.
    Raises ValueError for an invalid value: one line that begins with the option.
    """
    known = {one.name.replace("_", "-"): one for one in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"{key}: unknown option")
        read = (special or {}).get(key) or reader(known[key].default)
        try:
            values[known[key].name] = read(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return values


def reader(default: Any) -> Read:
    """Returns the function that reads an option whose default value is *default*."""
    match default:
        case bool():
            return boolean
        case float():
            return seconds
        case int():
            return positive_integer
        case tuple():
            return texts
        case _:
            return text


def text(value: Any) -> str:
    """Returns *value* if it is a string. Raises ValueError if not."""
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return value


def boolean(value: Any) -> bool:
    """Returns *value* if it is a boolean. Raises ValueError if not."""
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def positive_integer(value: Any) -> int:
    """Returns *value* if it is an integer above 0. Raises ValueError if not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number above 0")
    return value


def seconds(value: Any) -> float:
    """Returns the duration *value*, such as `60m` or `0`, in seconds. Raises ValueError."""
    try:
        return 0.0 if str(value) == "0" else parse_duration(str(value)) / _NANOSECONDS_PER_SECOND
    except ValueError:
        raise ValueError("expected a duration such as 60m or 10s") from None


def texts(value: Any) -> tuple[str, ...]:
    """Returns *value*, a list of strings, as a tuple.

    If *value* is a string, it is split at commas and white space, as in Grafana. Raises ValueError
    for another type.
    """
    if isinstance(value, str):
        return tuple(filter(None, re.split(r"[,\s]+", value, flags=re.ASCII)))
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("expected a list of strings")
    return tuple(value)


def one_of(*words: str) -> Read:
    """Returns a function that returns its argument if it is one of *words*.

    That function raises ValueError for any other argument.
    """

    def read(value: Any) -> str:
        if text(value) not in words:
            raise ValueError(f"expected {', '.join(words)}")
        return str(value)

    return read
