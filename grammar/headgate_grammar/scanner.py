"""InfluxQL text to tokens, cut where InfluxDB 1.8's scanner cuts; never raises.

What is no token of the language comes out as BADSTRING, BADESCAPE or ILLEGAL: the parser can say
where it stands, and a text that does not parse can still be redacted.
"""

import re
from collections.abc import Iterator

from lark import Token

from headgate_grammar.keywords import is_keyword
from headgate_grammar.quoting import unescape

# The order decides: digits followed by a letter begin a duration, good or not (`1x`).
_TOKEN = re.compile(
    r"""
    (?P<WORD>     [A-Za-z_][A-Za-z0-9_]* )
  | (?P<STRING>   ' (?: [^'\\\n] | \\[n\\"'] )* ' )
  | (?P<QUOTED>   " (?: [^"\\\n] | \\[n\\"'] )* " )
  | (?P<DURATION_LITERAL> [0-9]+ [A-Za-zµ] [A-Za-zµ0-9]* )
  | (?P<NUMBER>   [0-9]+ \. [0-9]* | \. [0-9]+ )
  | (?P<INTEGER>  [0-9]+ )
  | (?P<BOUND>    \$ (?: [A-Za-z_][A-Za-z0-9_]* | " (?: [^"\\\n] | \\[n\\"'] )* " )? )
  | (?P<SYMBOL>   =~ | !~ | != | <> | <= | >= | :: | /(?!\*) | [-+*%&|^=<>(),;:.] )
    """,
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\n]+|--[^\n]*\n?|/\*.*?\*/", re.DOTALL)
_GOOD = {
    "'": re.compile(r"""(?:[^'\\\n]|\\[n\\"'])*"""),
    '"': re.compile(r"""(?:[^"\\\n]|\\[n\\"'])*"""),
}
# Lark's names for what stands between double quotes in the grammar; other symbols name themselves.
_SYMBOLS = {"=": "EQUAL", ";": "SEMICOLON"}


def scan(text: str) -> Iterator[Token]:
    """The tokens of *text*, whose line ends are `\\n`; blanks and comments are left out.

    A token's value is what it stands for (a string without its quotes and escapes), its
    `start_pos` and `end_pos` say where in *text* it is written.
    """
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        match = _TOKEN.match(text, position)
        token = _broken(text, position) if match is None else _token(match)
        yield token
        assert token.end_pos is not None
        position = token.end_pos


def _token(match: re.Match[str]) -> Token:
    kind, value = match.lastgroup or "", match[0]
    match kind:
        case "WORD":
            kind = value.upper() if is_keyword(value) else "IDENT"
        case "STRING":
            value = unescape(value[1:-1])
        case "QUOTED":
            kind, value = "IDENT", unescape(value[1:-1])
        case "NUMBER":
            value = value.removesuffix(".")
        case "BOUND" if value.endswith('"'):
            value = "$" + unescape(value[2:-1])
        case "SYMBOL":
            kind = _SYMBOLS.get(value, value)
    return Token(kind, value, start_pos=match.start(), end_pos=match.end())


def _broken(text: str, start: int) -> Token:
    """What no token begins: a bad quote, a comment without end, a stray character."""
    quote = text[start]
    if quote in _GOOD:
        good = _GOOD[quote].match(text, start + 1)
        assert good is not None
        end = good.end()
        if text[end : end + 1] == "\\":
            # InfluxDB reads the end of the text as a NUL character.
            wrong = text[end : end + 2].ljust(2, "\0")
            return Token("BADESCAPE", wrong, start_pos=start, end_pos=end + 1)
        return Token("BADSTRING", unescape(good[0]), start_pos=start, end_pos=end)
    if text.startswith("/*", start):
        return Token("ILLEGAL", "", start_pos=start, end_pos=len(text))
    return Token("ILLEGAL", quote, start_pos=start, end_pos=start + 1)


def line_ends(text: str) -> str:
    """*text* with `\\r\\n` and `\\r` as one `\\n`, as InfluxDB's reader sees it."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def position(text: str, token: Token) -> tuple[int, int]:
    """Line and character, from 1, that InfluxDB reports for *token* of *text*."""
    start = token.start_pos or 0
    # InfluxDB notes where it stands before it reads the quote of a string, and behind the
    # backslash of a wrong escape.
    if token.type == "BADESCAPE":
        start = token.end_pos or 0
    elif text[start : start + 1] == "'" or token.type == "BADSTRING":
        start = max(start - 1, 0)
    return _line_char(text, start)


def end_position(text: str, last: Token | None) -> tuple[int, int]:
    """Line and character, from 1, that InfluxDB reports for the end of *text*.

    It counts the end twice where the scanner had to read it to know that a word, a blank or a line
    comment is over. *last* is the last token.
    """
    rest = text[(last.end_pos or 0) if last is not None else 0 :]
    pieces = [piece[0] for piece in _BLANK.finditer(rest)]
    if pieces:
        over = pieces[-1].isspace() or (pieces[-1][0] == "-" and pieces[-1][-1] != "\n")
    else:
        over = bool(text) and (text[-1].isalnum() or text[-1] == "_") and _is_word(last)
    line, char = _line_char(text, len(text))
    return line, char + over


def _is_word(token: Token | None) -> bool:
    return token is not None and token.type not in ("INTEGER", "NUMBER", "DURATION_LITERAL")


def _line_char(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
