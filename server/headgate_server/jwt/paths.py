"""Where in the claims something stands: JMESPath expressions. Knows jmespath."""

from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

Path = Callable[[Mapping[str, Any]], Any]


def path(option: str, text: str) -> Path:
    """What finds *text* in claims; None where it is not there, or they are not such that it could
    be. Raises ValueError, one line with the *option*, for what is no JMESPath.
    """
    if not text:
        return _nothing
    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{option}: no JMESPath: {reason}") from None

    def found(claims: Mapping[str, Any]) -> Any:
        try:
            return compiled.search(claims)
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    return found


def _nothing(claims: Mapping[str, Any]) -> Any:
    return None
