"""Where in the claims something stands: JMESPath expressions. Knows jmespath."""

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

# What jmespath's functions raise on odd values, beside its own.
_FAULTS = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

Path = Callable[[Mapping[str, Any]], Any]


def path(option: str, text: str) -> Path:
    """What finds *text* in claims; None where it is not there, or they are not such that it could
    be. Raises ValueError, one line with the *option*, for what is no JMESPath.
    """
    if not text:
        return _nothing
    try:
        compiled = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        reason = (str(error).splitlines() or ["empty"])[0]
        raise ValueError(f"{option}: no JMESPath: {reason}") from None

    def found(claims: Mapping[str, Any]) -> Any:
        try:
            return compiled.search(claims)
        except (JMESPathError, *_FAULTS):
            return None

    return found


def _nothing(claims: Mapping[str, Any]) -> Any:
    return None
