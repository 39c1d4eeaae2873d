"""InfluxQL text to statements. The one file that knows how Lark parses."""

from importlib import resources

from lark import Lark, Token
from lark.exceptions import UnexpectedToken as LarkUnexpectedToken
from lark.exceptions import VisitError
from lark.parsers.lalr_interactive_parser import InteractiveParser

from headgate_grammar.builder import BadValue, Builder
from headgate_grammar.errors import ParseError, UnexpectedToken
from headgate_grammar.expected import expected
from headgate_grammar.scanner import end_position, line_ends, position, scan
from headgate_grammar.statements import Statement

_LARK = Lark(
    resources.files("headgate_grammar").joinpath("influxql.lark").read_text("utf-8"),
    parser="lalr",
    lexer="basic",  # unused: scanner.py makes the tokens
    start="query",
    maybe_placeholders=True,
    transformer=Builder(),
)


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of *text*, none for a text of blanks, comments and semicolons.

    Raises ParseError, whose text and position are InfluxDB 1.8's.
    """
    text = line_ends(text)
    parser = _LARK.parse_interactive()
    tokens: list[Token] = []
    try:
        for token in scan(text):
            tokens.append(token)
            parser.feed_token(token)
        result: tuple[Statement, ...] = parser.feed_token(Token("$END", ""))
    except LarkUnexpectedToken as error:
        raise _unexpected(text, tokens, error.token, parser) from None
    except (BadValue, VisitError) as error:
        bad = error.orig_exc if isinstance(error, VisitError) else error
        if not isinstance(bad, BadValue):
            raise
        raise ParseError(str(bad), *position(text, bad.token)) from None
    return result


def _unexpected(
    text: str, tokens: list[Token], wrong: Token, parser: InteractiveParser
) -> ParseError:
    if wrong.type == "$END":
        before, where = tokens, end_position(text, tokens[-1] if tokens else None)
    else:
        before, where = tokens[:-1], position(text, wrong)
    words = _words(before)
    wanted = expected(words, parser.accepts())  # type: ignore[no-untyped-call]
    if _found(wrong) in wanted:
        # InfluxDB has such statements and this grammar does not: its sentence would be absurd.
        return ParseError(" ".join([*words, _found(wrong)]) + " is not supported", *where)
    return UnexpectedToken(_found(wrong), wanted, *where)


def _words(tokens: list[Token]) -> list[str]:
    """The types of the tokens since the beginning of the last statement."""
    words: list[str] = []
    for token in tokens:
        if token.type == "SEMICOLON":
            words.clear()
        else:
            words.append(token.type)
    return words


def _found(token: Token) -> str:
    """A token as InfluxDB's messages show it: its text, or else the name of its kind."""
    match token.type:
        case "$END":
            return "EOF"
        case "<>":
            return "!="
        case "IDENT" | "STRING" | "BADSTRING" | "BADESCAPE" | "ILLEGAL":
            return token.value or token.type
        case "EQUAL" | "SEMICOLON":
            return str(token)
        case _ if str(token).upper() == token.type:
            return token.type
        case _:
            return str(token)
