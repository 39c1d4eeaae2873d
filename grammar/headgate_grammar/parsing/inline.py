"""The class decorator of the builder's parts."""

from typing import TypeVar, cast

from lark import v_args

Rules = TypeVar("Rules", bound=type)


def inline(rules: Rules) -> Rules:
    """Returns *rules* with methods that take the parts of their rule as arguments.

    It wraps Lark's `v_args`, which is not annotated as returning a class.
    """
    return cast(Rules, v_args(inline=True)(rules))
