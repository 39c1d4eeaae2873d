"""Splits InfluxQL text into the same tokens as the scanner of InfluxDB 1.8; raises no errors.

Invalid text becomes a token of type BADSTRING, BADESCAPE, BADREGEX, BADBOUND, SWALLOWING or
ILLEGAL. The parser reports the position of this token. Invalid text can still be highlighted.
"""

import re
from collections.abc import Callable, Iterator

from lark import Token

from headgate_grammar.text.keywords import KEYWORDS
from headgate_grammar.text.quoting import unescape

# The order matters: digits followed by a letter begin a duration, valid or not (`1x`).
_TOKEN = re.compile(
    r"""
    (?P<WORD>     [A-Za-z_][A-Za-z0-9_]* )
  | (?P<STRING>   ' [^'\\\n\0]*+ (?: \\[n\\"'] [^'\\\n\0]*+ )*+ ' )
  | (?P<QUOTED>   " [^"\\\n\0]*+ (?: \\[n\\"'] [^"\\\n\0]*+ )*+ " )
  | (?P<DURATION_LITERAL> [0-9]+ [A-Za-zµ] [A-Za-zµ0-9]* )
  | (?P<NUMBER>   [0-9]+ \. [0-9]* | \. [0-9]+ )
  | (?P<INTEGER>  [0-9]+ )
  | (?P<BOUND>    \$ (?: [A-Za-z0-9_]+
                     | " [^"\\\n\0]*+ (?: \\[n\\"'] [^"\\\n\0]*+ )*+ " )? )
  | (?P<SYMBOL>   =~ | !~ | != | <> | <= | >= | :: | /(?!\*) | [-+*%&|^=<>(),;:.] )
    """,
    re.VERBOSE,
)
# White space or a comment. No token holds NUL: InfluxDB ends a text there, or skips it.
BLANK = re.compile(r"[ \t\n]+|--[^\n\0]*+\n?|/\*[^*\0]*+(?:\*(?!/)[^*\0]*+)*+\*/")
_BLANK_STARTS = frozenset(" \t\n-/")
_REGEX = re.compile(r"/([^/\\\n\0]*+(?:\\/?[^/\\\n\0]*+)*+)/")
_VALID_QUOTED = {
    "'": re.compile(r"""[^'\\\n\0]*+(?:\\[n\\"'][^'\\\n\0]*+)*+"""),
    '"': re.compile(r"""[^"\\\n\0]*+(?:\\[n\\"'][^"\\\n\0]*+)*+"""),
}
SYMBOLS = {
    **{"=": "EQUAL", "!=": "NOT_EQUAL", "<>": "NOT_EQUAL", "=~": "EQ_REGEX", "!~": "NOT_REGEX"},
    **{"<": "LESS", "<=": "LESS_EQUAL", ">": "GREATER", ">=": "GREATER_EQUAL"},
    **{"+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "%": "PERCENT"},
    **{"&": "BIT_AND", "|": "BIT_OR", "^": "BIT_XOR"},
    **{"(": "LPAR", ")": "RPAR", ",": "COMMA", ";": "SEMICOLON"},
}
_NAMES = frozenset({"IDENT", "BOUND"})
CASTS = frozenset({"float", "integer", "unsigned", "string", "boolean"})
_BEFORE_REGEX = frozenset(
    {"SELECT", "FROM", "BY", "COMMA", "CALL_PAREN", "DOT", "EQUAL", "EQ_REGEX", "NOT_REGEX"}
)


def likely_regex(previous: Token | None) -> bool:
    """Returns whether a `/` after the token *previous* most likely begins a regular expression."""
    return previous is not None and previous.type in _BEFORE_REGEX


def scan(
    text: str, regex_follows: Callable[[Token | None], bool] = likely_regex
) -> Iterator[Token]:
    """Yields the tokens of *text*; blanks and comments are left out. Line ends must be `\\n`.

    The value of a string token is the string without its quotes, with its escapes replaced. The
    same holds for a quoted name. `start_pos` and `end_pos` are the token's position in *text*.

    At each `/`, *regex_follows* is called with the token before the `/`, or None. It returns True
    if the `/` begins a regular expression, and False if the `/` is a division.
    """
    position, end = 0, len(text)
    previous: Token | None = None
    before: Token | None = None
    while position < end:
        first = text[position]
        if first in _BLANK_STARTS and (blank := BLANK.match(text, position)):
            if previous is not None and previous.type == "CAST":
                # A blank between `::` and its type is an error. InfluxDB's message shows the blank.
                yield Token("BLANK", blank[0], start_pos=position, end_pos=blank.end())
            position = blank.end()
            continue
        if first == "/" and _may_be_regex(position, previous) and regex_follows(previous):
            token = _regex(text, position)
        else:
            match = _TOKEN.match(text, position)
            if match is None:
                token = _invalid_token(text, position)
            elif match.lastgroup == "WORD" and text.startswith('"', match.end()):
                token = _dropped_word(text, match)
            elif match.lastgroup == "BOUND" and _quote_follows(text, match):
                token = _invalid_parameter(text, match)
            else:
                token = _token(match)
            if previous is not None and previous.end_pos == position:
                token = _adjacent_token(token, previous, before)
        yield token
        assert token.end_pos is not None
        position, before, previous = token.end_pos, previous, token


def _token(match: re.Match[str]) -> Token:
    kind, value = match.lastgroup or "", match[0]
    match kind:
        case "WORD":  # of ASCII letters, as the keywords
            kind = word if (word := value.upper()) in KEYWORDS else "IDENT"
        case "STRING":
            value = unescape(value[1:-1])
        case "QUOTED":
            kind, value = "IDENT", unescape(value[1:-1])
        case "NUMBER":
            value = value.removesuffix(".")
        case "BOUND" if value.endswith('"'):
            value = "$" + unescape(value[2:-1])
        case "SYMBOL":
            kind = SYMBOLS.get(value, value)
    # Keyword arguments would double the time of this call. None: lines and columns are not counted.
    return Token(kind, value, match.start(), None, None, None, None, match.end())


def _dropped_word(text: str, word: re.Match[str]) -> Token:
    """Returns one token for *word* and the quoted name directly after it, as in `ab"c"`.

    InfluxDB ignores the word. No rule of the grammar accepts the token's type, SWALLOWING, so that
    the parser reports an error.
    """
    quoted = _TOKEN.match(text, word.end())
    if quoted is None:
        return _invalid_token(text, word.end())
    name = unescape(quoted[0][1:-1])
    return Token("SWALLOWING", name, start_pos=word.start(), end_pos=quoted.end())


def _quote_follows(text: str, parameter: re.Match[str]) -> bool:
    return not parameter[0].endswith('"') and text.startswith('"', parameter.end())


def _invalid_parameter(text: str, parameter: re.Match[str]) -> Token:
    """Returns one token for *parameter* and the quote directly after it, as in `$a"b"` and `$"b`.

    The token begins at the `$`, because InfluxDB reports this position. No rule of the grammar
    accepts the token's type, BADBOUND, so that the parser reports an error.
    """
    quoted = _TOKEN.match(text, parameter.end())
    broken = _invalid_token(text, parameter.end()) if quoted is None else _token(quoted)
    return Token("BADBOUND", f"${broken}", start_pos=parameter.start(), end_pos=broken.end_pos)


def _adjacent_token(token: Token, previous: Token, before: Token | None) -> Token:
    """Returns *token* with the type that it has if no blank separates it from *previous*.

    For example, a `(` directly after a name gets the type CALL_PAREN. *before* is the token before
    *previous*, or None.
    """
    match token.type:
        case "." if previous.type in _NAMES or previous.type == "DOT":
            return token.update("DOT")
        case ":" if previous.type == "DOT":
            return token.update("COLON")
        case "::" if previous.type in _NAMES or previous.type == "STAR":
            return token.update("CAST")
        case "LPAR" if previous.type in _NAMES or previous.type == "DISTINCT":
            return token.update("CALL_PAREN")
        case "FIELD" | "TAG" if previous.type == "CAST":
            star = before is not None and before.type == "STAR"
            return token.update("WILDCARD_TYPE" if star else "CAST_TYPE")
        case "IDENT" if previous.type == "CAST" and token.lower() in CASTS:
            return token.update("CAST_TYPE")
        case _:
            return token


def _may_be_regex(position: int, previous: Token | None) -> bool:
    return previous is None or previous.type != "DOT" or previous.end_pos == position


def _regex(text: str, start: int) -> Token:
    match = _REGEX.match(text, start)
    if match is None:
        end = text.find("\n", start)
        return Token("BADREGEX", "", start_pos=start, end_pos=end if end >= 0 else len(text))
    value = match[1].replace(r"\/", "/")
    return Token("REGEX", value, start_pos=start, end_pos=match.end())


def _invalid_token(text: str, start: int) -> Token:
    """Returns a token for the invalid text that begins at index *start*.

    This is a quoted text that is unclosed or has an invalid escape, an unclosed comment, or a
    character that begins no token.
    """
    quote = text[start]
    if quote in _VALID_QUOTED:
        good = _VALID_QUOTED[quote].match(text, start + 1)
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
