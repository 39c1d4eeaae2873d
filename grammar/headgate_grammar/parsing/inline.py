"""A decorator for Lark transformers: their methods receive the children of a rule as arguments."""

from typing import TypeVar, cast

from lark import v_args

Rules = TypeVar("Rules", bound=type)


def inline(rules: Rules) -> Rules:
    """Returns the class *rules*; its methods receive the children of a rule as arguments.

    It wraps Lark's `v_args`, which is not annotated as returning a class.
    """
    return cast(Rules, v_args(inline=True)(rules))
