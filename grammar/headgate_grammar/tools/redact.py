"""Hides the secrets in any text, such as user input or a log line, valid InfluxQL or not."""

import re

from lark import Token

from headgate_grammar.parsing.lexer import scan
from headgate_grammar.parsing.parser import parse_tokens
from headgate_grammar.parsing.positions import normalize
from headgate_grammar.text.quoting import quote_string
from headgate_grammar.text.redaction import REDACTED, redact_destination, redact_urls

_PASSWORD = re.compile("password", re.IGNORECASE)
_PASSWORD_CLAUSE_TYPES = frozenset({"FOR", "IDENT", "EQUAL"})
_Span = tuple[int, int, str]  # start, stop and the replacement


def redact(text: str) -> str:
    """Returns *text* with `[REDACTED]` in place of everything that may be a password.

    In valid InfluxQL, passwords are hidden, and comments that contain the word password.

    Invalid InfluxQL may be a misspelled password statement. Its end is hidden: from the first
    quote, or after the word PASSWORD if that comes first. A double quote counts only if the text
    contains the keyword USER or SET.

    In any text, the logins and secret parameters of URLs are hidden.
    """
    text = normalize(text)
    tokens = parse_tokens(text)
    spans = _secret_spans(text, tokens) if tokens is not None else _suspicious_spans(text)
    kept: list[str] = []
    end = 0
    for start, stop, instead in spans:
        kept.append(redact_urls(text[end:start]) + instead)
        end = stop
    return "".join(kept) + redact_urls(text[end:])


def _secret_spans(text: str, tokens: list[Token]) -> list[_Span]:
    """Returns the spans of the secrets in *text*, valid InfluxQL that consists of *tokens*.

    Secrets are passwords, destinations of subscriptions, and comments with the word password.
    """
    spans: list[_Span] = []
    end = 0
    expected = destinations = False
    for token in [*tokens, Token("$END", "", start_pos=len(text), end_pos=len(text))]:
        start, stop = token.start_pos or 0, token.end_pos or 0
        if _PASSWORD.search(text, end, start):
            spans.append((end, start, REDACTED))
        if token.type == "STRING" and expected:
            spans.append((start, stop, REDACTED))
        elif token.type == "STRING" and destinations:
            spans.append((start, stop, quote_string(redact_destination(token.value))))
        expected = token.type == "PASSWORD" or (expected and token.type in _PASSWORD_CLAUSE_TYPES)
        destinations = token.type == "DESTINATIONS" or (destinations and token.type != "SEMICOLON")
        end = stop
    return spans


def _suspicious_spans(text: str) -> list[_Span]:
    """Returns at most one span: the end of *text*, invalid InfluxQL, that may hold a password.

    The tokens do not show where a password ends: an unclosed quote swaps strings and other text.
    """
    word = _PASSWORD.search(text)
    about_users = any(token.type in ("USER", "SET") for token in scan(text))
    quote = re.search("['\"]" if about_users else "'", text)
    limit = min(
        word.end() if word is not None else len(text),
        quote.start() if quote is not None else len(text),
    )
    return [(limit, len(text), REDACTED)] if limit < len(text) else []
