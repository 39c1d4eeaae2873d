"""How much a text asks for: statements, their length, bound values, regular expressions."""

import re
from dataclasses import dataclass
from math import prod

from lark import Token

from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.positions import position

# A query's bound values may be so many times as long as a statement may be.
_BOUND = 10
_REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_CLASS = re.compile(r"\\[pP]")
_CLASS_COST = 1200  # instructions of RE2 for a class such as \pL
_LARGEST_REGEX = 500_000  # more are refused, whatever they cost


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many statements a text may hold, and how many characters one of them, what stands before
    it and the values of its parameters included; what its regular expressions may cost, by a rough
    count of RE2's instructions, a microsecond for two; and how many tokens the text may hold, each
    of which costs about 20 microseconds (0: any number).
    """

    statements: int = 0
    length: int = 0
    regexes: int = 0
    tokens: int = 0


class Meter:
    """Measures a *text* as it is read. *take* raises ParseError where it leads beyond *bounds*."""

    def __init__(self, text: str, bounds: Bounds) -> None:
        self._text = text
        self._bounds = bounds
        self._begun = 0  # where the statement begins that is being read
        self._number = 1
        self._bound = self._all_bound = self._regexes = self._tokens = 0

    def take(self, token: Token) -> None:
        bounds = self._bounds
        start, end = token.start_pos or 0, token.end_pos or 0
        more = max(0, len(token) - (end - start))  # a parameter is longer than its name
        self._bound += more
        self._all_bound += more
        if 0 < bounds.length < end - self._begun + self._bound:
            self._refuse(f"statement longer than {bounds.length} characters", token)
        if 0 < bounds.length * _BOUND < self._all_bound:
            self._refuse(f"parameters longer than {bounds.length * _BOUND} characters", token)
        self._tokens += 1
        if 0 < bounds.tokens < self._tokens:
            self._refuse(f"query of more than {bounds.tokens} words, values and signs", token)
        if bounds.statements and self._number > bounds.statements:
            self._refuse(f"more than {bounds.statements} statements", token)
        if token.type == "REGEX":
            self._regexes += _cost(token)
            if 0 < bounds.regexes < self._regexes:
                self._refuse("too many or too large regular expressions", token)
        elif token.type == "SEMICOLON":
            self._begun = start + 1
            self._number += 1
            self._bound = 0

    def _refuse(self, why: str, token: Token) -> None:
        raise ParseError(why, *position(self._text, token))


def _number(digits: str) -> int:
    """Python reads no number of thousands of digits."""
    return int(digits) if len(digits) < 10 else _LARGEST_REGEX


def _cost(pattern: str) -> int:
    """About how many instructions RE2 makes of *pattern*: rather too many than too few."""
    repeats = (max(1, *map(_number, filter(None, found))) for found in _REPEATED.findall(pattern))
    length = len(pattern) + 50 + _CLASS_COST * len(_CLASS.findall(pattern))
    return min(_LARGEST_REGEX, length * min(_LARGEST_REGEX, prod(repeats)))
