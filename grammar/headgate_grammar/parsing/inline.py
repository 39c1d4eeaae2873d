"""A class decorator for Lark transformers, which changes the arguments of their methods."""

from typing import TypeVar, cast

from lark import v_args

Rules = TypeVar("Rules", bound=type)


def inline(rules: Rules) -> Rules:
    """Returns the transformer class *rules* with methods that take a rule's children as arguments.

    Without this decorator, Lark passes one list of children. The decorator wraps Lark's `v_args`,
    which is not annotated as returning a class.
    """
    return cast(Rules, v_args(inline=True)(rules))
