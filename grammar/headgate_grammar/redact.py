"""Passwords out of texts that cannot be trusted to parse: what a person typed, what a log shows."""

from lark import Token

from headgate_grammar.positions import as_read
from headgate_grammar.scanner import scan
from headgate_grammar.users import REDACTED


def redact(text: str) -> str:
    """*text* with whatever stands where a password may stand replaced by `[REDACTED]`.

    It goes by tokens, so quoting, escapes, missing blanks and comments in between make no
    difference. Where a text departs from the grammar too much is hidden rather than too little:
    after a quote that never closes, everything is.
    """
    text = as_read(text)
    kept: list[str] = []
    end = 0
    for start, stop in _secrets(list(scan(text)), len(text)):
        kept.append(text[end:start] + REDACTED)
        end = stop
    return "".join(kept) + text[end:]


def _secrets(tokens: list[Token], length: int) -> list[tuple[int, int]]:
    """Where passwords stand, as pairs of offsets in order."""
    spans: list[tuple[int, int]] = []
    index = 0
    while index < len(tokens):
        index += 1
        if tokens[index - 1].type != "PASSWORD":
            continue
        if [token.type for token in tokens[index : index + 2]] == ["FOR", "IDENT"]:
            index += 2
            if index < len(tokens) and tokens[index].type == "EQUAL":
                index += 1
        first = index
        while index < len(tokens) and not _ends_secret(tokens, index):
            if tokens[index].type in ("BADSTRING", "BADESCAPE", "ILLEGAL"):
                return [*spans, (tokens[first].start_pos or 0, length)]
            index += 1
        if index > first:
            spans.append((tokens[first].start_pos or 0, tokens[index - 1].end_pos or length))
    return spans


def _ends_secret(tokens: list[Token], index: int) -> bool:
    if tokens[index].type == "SEMICOLON":
        return True
    following = [token.type for token in tokens[index : index + 3]]
    return following == ["WITH", "ALL", "PRIVILEGES"]
