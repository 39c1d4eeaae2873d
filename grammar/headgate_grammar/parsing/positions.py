"""Positions in a text as InfluxDB reports them: line and character, both from 1."""

import re

from lark import Token

from headgate_grammar.parsing.lexer import BLANK

_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """Returns *text* with U+FFFD in place of each surrogate."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def normalize(text: str) -> str:
    """Returns *text* as InfluxDB's reader sees it: line ends as `\\n`, surrogates as U+FFFD."""
    text = replace_surrogates(text)
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def position(text: str, token: Token) -> tuple[int, int]:
    """Returns the line and character that InfluxDB reports for *token* of *text*."""
    start = token.start_pos or 0
    # InfluxDB reports the position of a token's first character, with two exceptions. For a string
    # or a regular expression it reports the character before the quote or the slash. For a wrong
    # escape in a string it reports a position after the backslash.
    if token.type == "BADESCAPE":
        start = token.end_pos or 0
    elif text[start : start + 1] == "'" or token.type in ("BADSTRING", "BADREGEX"):
        start = max(start - 1, 0)
    elif token.type == "REGEX" and text[start] == "/":  # and not a bound parameter
        start -= 1
    return _line_char(text, start)


def end_position(text: str, last: Token | None, *, looked_ahead: bool) -> tuple[int, int]:
    """Returns the line and character that InfluxDB reports for the end of *text*.

    *last* is the last token of *text*, or None. InfluxDB reports one character more if its scanner
    has already read the end of the text. This happens if *text* ends with a word, a blank or a line
    comment. It also happens if *looked_ahead* is true: InfluxDB then looked for a dot or a regular
    expression after *last*.
    """
    rest = text[(last.end_pos or 0) if last is not None else 0 :]
    pieces = [piece[0] for piece in BLANK.finditer(rest)]
    if pieces:
        over = pieces[-1][0] in " \t\n" or (pieces[-1][0] == "-" and pieces[-1][-1] != "\n")
    else:
        over = bool(text) and (text[-1].isalnum() or text[-1] == "_") and _is_word(last)
    line, char = _line_char(text, len(text))
    return line, char + (over or looked_ahead)


def _is_word(token: Token | None) -> bool:
    return token is not None and token.type not in ("INTEGER", "NUMBER", "DURATION_LITERAL")


def _line_char(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
