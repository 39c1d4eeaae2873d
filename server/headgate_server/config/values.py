"""Reads the value of one option by its type. Each function raises ValueError."""

import re
from typing import Any

from headgate_grammar import parse_duration

_NANOSECONDS_PER_SECOND = 1_000_000_000


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


def integer(value: Any) -> int:
    """Returns *value* if it is an integer. Raises ValueError if not."""
    # In Python bool is a subclass of int, but `true` is not a number for the user.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected a whole number")
    return value


def seconds(value: Any) -> float:
    """Returns the duration *value*, such as `60m` or `0`, in seconds. Raises ValueError."""
    try:
        return 0.0 if str(value) == "0" else parse_duration(str(value)) / _NANOSECONDS_PER_SECOND
    except ValueError:
        raise ValueError("expected a duration such as 10s or 2m") from None


def word(value: Any) -> str:
    """Returns *value*, a string or a boolean, in lower case. Raises ValueError for another type."""
    if not isinstance(value, str | bool):
        raise ValueError("expected a string, true or false")
    return str(value).lower()


def texts(value: Any) -> tuple[str, ...]:
    """Returns *value*, a list of strings, as a tuple.

    If *value* is a string, it is split at commas and white space, as in Grafana. Raises ValueError
    for another type.
    """
    if isinstance(value, str):
        return tuple(filter(None, re.split(r"[,\s]+", value, flags=re.ASCII)))
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("expected a list of strings")
    return tuple(value)
