"""Limits of a parsed text: statements, their length, bound values, regular expressions, tokens."""

import re
from dataclasses import dataclass
from math import prod

from lark import Token

from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.positions import position

# The bound values of a query may be this many times as long as a statement.
_BOUND = 10
_REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_CLASS = re.compile(r"\\[pP]")
_CLASS_COST = 1200  # instructions of RE2 for a class such as \pL
_LARGEST_REGEX = 500_000  # the cost is capped here


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a text; 0 is unlimited.

    *statements* is their number. *length* is the characters of one statement, including the blanks
    before it and the values of its parameters. *regexes* is the cost of all regular expressions, a
    rough count of RE2's instructions: two take a microsecond. *tokens* is their number in the text;
    each costs about 20 microseconds.
    """

    statements: int = 0
    length: int = 0
    regexes: int = 0
    tokens: int = 0


class Meter:
    """Measures a *text* while it is parsed, against *bounds*."""

    def __init__(self, text: str, bounds: Bounds) -> None:
        self._text = text
        self._bounds = bounds
        self._begun = 0  # where the statement begins that is being read
        self._number = 1
        self._bound = self._all_bound = self._regexes = self._tokens = 0

    def take(self, token: Token) -> None:
        """Counts *token*. Raises ParseError if a limit is exceeded."""
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
    """Returns the number *digits*, capped: Python parses no number of thousands of digits."""
    return int(digits) if len(digits) < 10 else _LARGEST_REGEX


def _cost(pattern: str) -> int:
    """Estimates the number of RE2 instructions for *pattern*, rather too high than too low."""
    repeats = (max(1, *map(_number, filter(None, found))) for found in _REPEATED.findall(pattern))
    length = len(pattern) + 50 + _CLASS_COST * len(_CLASS.findall(pattern))
    return min(_LARGEST_REGEX, length * min(_LARGEST_REGEX, prod(repeats)))
