"""How the builder's methods are called."""

from typing import TypeVar, cast

from lark import v_args

Rules = TypeVar("Rules", bound=type)


def inline(rules: Rules) -> Rules:
    """A class whose methods take the parts of their rule as arguments.

    Lark's own decorator, which type checkers take for something that makes no classes.
    """
    return cast(Rules, v_args(inline=True)(rules))
