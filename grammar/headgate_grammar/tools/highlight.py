"""Splits InfluxQL text into spans for syntax highlighting."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headgate_grammar.parsing.lexer import scan
from headgate_grammar.text.keywords import is_keyword

SpanKind = Literal[
    "keyword", "name", "string", "number", "regex", "parameter", "symbol", "comment", "wrong"
]
_KINDS: dict[str, SpanKind] = {
    **{"IDENT": "name", "STRING": "string", "REGEX": "regex", "BOUND": "parameter"},
    **{"INTEGER": "number", "NUMBER": "number", "DURATION_LITERAL": "number"},
    **dict.fromkeys(("BADSTRING", "BADESCAPE", "BADREGEX", "ILLEGAL", "SWALLOWING"), "wrong"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text and its *kind*: the characters from index *start* to *stop* - 1."""

    kind: SpanKind
    start: int
    stop: int


def highlight(text: str) -> Iterator[Span]:
    """Yields the spans of *text* in order, without white space. *text* may be invalid InfluxQL.

    A `/` may be a division or begin a regular expression. The token before the `/` shows which of
    the two is more likely.
    """
    end = 0
    for token in scan(text):
        start, stop = token.start_pos or 0, token.end_pos or 0
        yield from _comment(text, end, start)
        if token.type != "BLANK":
            yield Span(_kind(text[start:stop], token.type), start, stop)
        end = stop
    yield from _comment(text, end, len(text))


def _comment(text: str, start: int, stop: int) -> Iterator[Span]:
    gap = text[start:stop]
    if comment := gap.strip(" \t\n"):
        first = start + gap.index(comment)
        yield Span("comment", first, first + len(comment))


def _kind(written: str, type: str) -> SpanKind:
    if type in _KINDS:
        return _KINDS[type]
    return "keyword" if is_keyword(written) or written.isalpha() else "symbol"
