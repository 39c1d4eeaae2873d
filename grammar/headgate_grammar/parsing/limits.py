"""Limits on the length, depth and cost of InfluxQL texts, which protect the parser."""

import math
import re
from dataclasses import dataclass
from math import prod

from lark import Token

from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.positions import position

MAX_DEPTH = 24
"""The maximum depth of parentheses, calls and subqueries.

Up to this depth `str` prints a statement within Python's recursion limit, even if each level holds
eight levels of operators.
"""
# All bound values of a query together may have `statement_chars` times this many characters.
_MAX_PARAMETERS_FACTOR = 10
_REPETITION_PATTERN = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_CLASS_PATTERN = re.compile(r"\\[pP]")
_CLASS_INSTRUCTIONS = 1200  # instructions of RE2 for a class such as \pL
_MAX_REGEX_INSTRUCTIONS = 500_000  # the maximum cost of one expression


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """The maximum sizes of an InfluxQL text; 0 is unlimited.

    - *statements*: the number of statements.
    - *statement_chars*: the characters of one statement, including the blanks before the statement
      and the values of its parameters.
    - *regex_instructions*: the estimated number of RE2 instructions for all regular expressions
      together. Two instructions take about a microsecond.
    - *tokens*: the number of tokens in the text. Each token costs about 20 microseconds.
    """

    statements: int = 0
    statement_chars: int = 0
    regex_instructions: int = 0
    tokens: int = 0


class LimitChecker:
    """Checks *text* against *limits*: the parser calls `check` with each token in order."""

    def __init__(self, text: str, limits: ParseLimits) -> None:
        self._text = text
        self._limits = limits
        self._statement_start = 0  # the offset of the current statement
        self._statements = 1
        self._parameter_chars = self._all_parameter_chars = self._regex_instructions = (
            self._tokens
        ) = 0
        self._max_chars = limits.statement_chars or math.inf
        self._max_tokens = limits.tokens or math.inf
        self._max_statements = limits.statements or math.inf

    def check(self, token: Token) -> None:
        """Counts *token*, the next token of the text.

        Raises ParseError if the text up to and including *token* exceeds a limit.
        """
        start, end = token.start_pos or 0, token.end_pos or 0
        if len(token) > end - start:  # a bound value is longer than the name of its parameter
            extra_chars = len(token) - (end - start)
            self._parameter_chars += extra_chars
            self._all_parameter_chars += extra_chars
        self._tokens += 1
        if (
            self._max_chars < end - self._statement_start + self._parameter_chars
            or self._all_parameter_chars
            or self._tokens > self._max_tokens
            or self._statements > self._max_statements
        ):
            self._check_sizes(token, end)
        match token.type:
            case "REGEX":
                self._regex_instructions += _regex_instructions(token)
                if 0 < self._limits.regex_instructions < self._regex_instructions:
                    self._fail("too many or too large regular expressions", token)
            case "SEMICOLON":
                self._statement_start = start + 1
                self._statements += 1
                self._parameter_chars = 0

    def _check_sizes(self, token: Token, end: int) -> None:
        """Raises ParseError if the text up to *end*, where *token* ends, is too large."""
        limits = self._limits
        if 0 < limits.statement_chars < end - self._statement_start + self._parameter_chars:
            self._fail(f"statement longer than {limits.statement_chars} characters", token)
        if 0 < limits.statement_chars * _MAX_PARAMETERS_FACTOR < self._all_parameter_chars:
            self._fail(
                "parameters longer than"
                f" {limits.statement_chars * _MAX_PARAMETERS_FACTOR} characters",
                token,
            )
        if 0 < limits.tokens < self._tokens:
            self._fail(f"query of more than {limits.tokens} words, values and signs", token)
        if 0 < limits.statements < self._statements:
            self._fail(f"more than {limits.statements} statements", token)

    def _fail(self, why: str, token: Token) -> None:
        raise ParseError(why, *position(self._text, token))


def _capped_int(digits: str) -> int:
    """Returns *digits* as an int, or `_MAX_REGEX_INSTRUCTIONS` for ten or more digits.

    Python's int() rejects thousands of digits.
    """
    return int(digits) if len(digits) < 10 else _MAX_REGEX_INSTRUCTIONS


def _regex_instructions(pattern: str) -> int:
    """Returns an estimate of the number of RE2 instructions for *pattern*.

    The estimate is too high rather than too low, but at most `_MAX_REGEX_INSTRUCTIONS`.
    """
    repeats = (
        max(1, *map(_capped_int, filter(None, found)))
        for found in _REPETITION_PATTERN.findall(pattern)
    )
    length = len(pattern) + 50 + _CLASS_INSTRUCTIONS * len(_CLASS_PATTERN.findall(pattern))
    return min(_MAX_REGEX_INSTRUCTIONS, length * min(_MAX_REGEX_INSTRUCTIONS, prod(repeats)))
