"""JMESPath expressions that select values in claims. Uses jmespath."""

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

# Errors, beside JMESPathError, that jmespath's functions raise for values of unexpected types.
_FUNCTION_ERRORS = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

Path = Callable[[Mapping[str, Any]], Any]


def compile_path(option: str, text: str) -> Path:
    """Returns a function that evaluates the JMESPath expression *text* on a token's claims.

    That function returns None if *text* is empty, or if the claims have no such value. It also
    returns None if a JMESPath function rejects the type of a value. Raises ValueError for invalid
    JMESPath: one line that begins with *option*.
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
