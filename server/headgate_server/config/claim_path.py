"""JMESPath expressions that select values in claims. Uses jmespath."""

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

# Errors of jmespath's functions for unexpected values, beside its own.
_FAULTS = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

Path = Callable[[Mapping[str, Any]], Any]


def path(option: str, text: str) -> Path:
    """Returns a function that returns the value at *text* in claims, or None.

    It returns None also for claims that do not fit the expression. Raises ValueError, one line with
    the *option*, for invalid JMESPath.
    """
    if not text:
        return _nothing
    try:
        compiled = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        reason = (str(error).splitlines() or ["empty"])[0]
        raise ValueError(f"{option}: invalid JMESPath: {reason}") from None

    def found(claims: Mapping[str, Any]) -> Any:
        try:
            return compiled.search(claims)
        except (JMESPathError, *_FAULTS):
            return None

    return found


def _nothing(claims: Mapping[str, Any]) -> Any:
    return None
