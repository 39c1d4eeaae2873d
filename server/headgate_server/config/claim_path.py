"""JMESPath expressions that select values in claims. Uses jmespath."""

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

# Errors of jmespath's functions for unexpected values, beside its own.
_FUNCTION_ERRORS = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

Path = Callable[[Mapping[str, Any]], Any]


def compile_path(option: str, text: str) -> Path:
    """Returns a function that returns the value at *text* in claims, or None.

    It returns None also for claims that do not fit the expression. Raises ValueError, one line with
    the *option*, for invalid JMESPath.
    """
    if not text:
        return _no_value
    try:
        compiled = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        reason = (str(error).splitlines() or ["empty"])[0]
        raise ValueError(f"{option}: invalid JMESPath: {reason}") from None

    def search(claims: Mapping[str, Any]) -> Any:
        try:
            return compiled.search(claims)
        except (JMESPathError, *_FUNCTION_ERRORS):
            return None

    return search


def _no_value(claims: Mapping[str, Any]) -> Any:
    return None
