"""Passwords out of any text: what a person typed, what a log shows, and be it no InfluxQL."""

import re

from lark import Token

from headgate_grammar.parser import tokens_of
from headgate_grammar.positions import as_read
from headgate_grammar.scanner import scan
from headgate_grammar.users import REDACTED

_PASSWORD = re.compile("password", re.IGNORECASE)
_BETWEEN = frozenset({"FOR", "IDENT", "EQUAL"})
_Span = tuple[int, int]


def redact(text: str) -> str:
    """*text* with whatever stands where a password may stand replaced by `[REDACTED]`.

    In a text that parses these are the passwords, and comments that speak of one. In any other,
    which may be a password statement misspelt, it is everything behind the word PASSWORD or the
    first quote, whichever is first; names in double quotes are shown unless it is about users.
    """
    text = as_read(text)
    tokens = tokens_of(text)
    spans = _secrets(text, tokens) if tokens is not None else _suspects(text)
    kept: list[str] = []
    end = 0
    for start, stop in spans:
        kept.append(text[end:start] + REDACTED)
        end = stop
    return "".join(kept) + text[end:]


def _secrets(text: str, tokens: list[Token]) -> list[_Span]:
    """Where passwords stand among the *tokens* of statements, and in the comments between them."""
    spans: list[_Span] = []
    end = 0
    expected = False
    for token in [*tokens, Token("$END", "", start_pos=len(text), end_pos=len(text))]:
        start, stop = _span(token)
        if _PASSWORD.search(text, end, start):
            spans.append((end, start))
        if token.type == "STRING" and expected:
            spans.append((start, stop))
        expected = token.type == "PASSWORD" or (expected and token.type in _BETWEEN)
        end = stop
    return spans


def _suspects(text: str) -> list[_Span]:
    """What may be a password in a *text* that does not parse.

    Not by tokens: a quote that is open turns them around.
    """
    word = _PASSWORD.search(text)
    about_users = any(token.type in ("USER", "SET") for token in scan(text))
    quote = re.search("['\"]" if about_users else "'", text)
    limit = min(
        word.end() if word is not None else len(text),
        quote.start() if quote is not None else len(text),
    )
    return [(limit, len(text))] if limit < len(text) else []


def _span(token: Token) -> _Span:
    return token.start_pos or 0, token.end_pos or 0
