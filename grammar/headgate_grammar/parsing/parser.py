"""Parses InfluxQL text to statements: the public function `parse`. Uses the parser library Lark."""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from lark import Token
from lark.exceptions import UnexpectedToken as LarkUnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from headgate_grammar.ast.series import Delete
from headgate_grammar.ast.statements import Statement
from headgate_grammar.parsing.bound_parameters import (
    UnprintableValue,
    bind,
    missing_parameter_message,
)
from headgate_grammar.parsing.dialects import NEW_KEYWORDS, NEW_SIGNS, NEW_TERMINALS, Dialect
from headgate_grammar.parsing.errors import ParseError, UnexpectedToken
from headgate_grammar.parsing.expected_tokens import display_token, expected, terminal
from headgate_grammar.parsing.lexer import CASTS, scan
from headgate_grammar.parsing.limits import MAX_DEPTH, LimitChecker, ParseLimits
from headgate_grammar.parsing.literals import BadValue
from headgate_grammar.parsing.parser_table import load_parser
from headgate_grammar.parsing.positions import end_position, normalize, position
from headgate_grammar.parsing.transform_select import ConditionInField, NoInterval, NoResample
from headgate_grammar.parsing.transformer import Builder
from headgate_grammar.text.keywords import is_keyword

UNLIMITED = ParseLimits()

_LARK = load_parser(Builder())
_SEMANTIC_ERRORS = (BadValue, ConditionInField, NoInterval, NoResample)
_OPERAND_ENDS = frozenset(
    "IDENT STRING INTEGER NUMBER DURATION_LITERAL TRUE FALSE RPAR CAST_TYPE WILDCARD_TYPE".split()
)
_WHITE_SPACE = re.compile(r"[ \t\n]*")
# Names that are keywords only where the grammar expects them.
_SOFT_KEYWORDS = {"fill": "FILL", "tz": "TZ", "verbose": "VERBOSE"}
_SOFT_WORDS = frozenset({*_SOFT_KEYWORDS.values(), "FUTURE", "PAST"})
_PARENTHESES = frozenset({"LPAR", "RPAR", "CALL_PAREN"})
_RETYPED = frozenset({"BOUND", "IDENT", *NEW_SIGNS})


StatementCallback = Callable[[Statement], None]


def parse(
    text: str,
    parameters: Mapping[str, object] | None = None,
    limits: ParseLimits = UNLIMITED,
    on_statement: StatementCallback | None = None,
    dialect: Dialect = "",
) -> tuple[Statement, ...]:
    """Returns the statements of *text*, in *dialect*: see `Dialect`.

    The tuple is empty if *text* holds only blanks, comments and semicolons.

    *parameters* holds the values of bound parameters by name, see bound_parameters.py.
    *on_statement* is called with each statement before the next one is parsed. If it raises an
    error, parsing ends with this error.

    Raises:
        ParseError: *text* is invalid, exceeds *limits*, or nests deeper than `MAX_DEPTH`. For an
            invalid text the message and position are those of InfluxDB 1.8, or of *dialect*.
    """
    return _Parse(normalize(text), parameters or {}, limits, on_statement, dialect).statements()


def parse_tokens(text: str) -> list[Token] | None:
    """Returns the tokens of *text*, or None for invalid InfluxQL. Line ends must be `\\n`."""
    parse = _Parse(text, {})
    try:
        parse.statements()
    except ParseError:
        return None
    return parse.tokens


@dataclass(frozen=True, slots=True)
class Completions:
    """What may follow a text, for completion in a shell.

    - *keywords*: the keywords that may follow.
    - *identifier*: whether a name may follow.
    - *incomplete*: whether any token may follow.
    - *complete*: whether the text may end here.

    A text that is neither *incomplete* nor *complete* is invalid.
    """

    keywords: tuple[str, ...] = ()
    identifier: bool = False
    incomplete: bool = False
    complete: bool = False


def completions(text: str) -> Completions:
    """Returns what may follow *text*, which ends before the word to complete.

    For an invalid *text*, the result is `Completions()`, in which nothing may follow.
    """
    return _Parse(normalize(text), {}).completions()


class _Parse:
    """The state of parsing one text: call either `statements` or `completions`, once."""

    def __init__(
        self,
        text: str,
        parameters: Mapping[str, object],
        limits: ParseLimits = UNLIMITED,
        on_statement: StatementCallback | None = None,
        dialect: Dialect = "",
    ) -> None:
        self._text = text
        self._dialect: Dialect = dialect
        # Whether the current statement, and an earlier one, is of 1.12 alone.
        self._is_new = self._was_new = False
        self._limits = limits
        self._limit_checker = LimitChecker(text, limits)
        self._parameters = parameters
        self._on_statement = on_statement
        self._parser = _LARK.parse_interactive()
        self.tokens: list[Token] = []
        self._levels: list[int] = []
        self._statements: list[Statement] = []

    def statements(self) -> tuple[Statement, ...]:
        """Returns the statements of the text. Raises ParseError if it is invalid."""
        try:
            self._feed_all()
            self._end(Token("$END", ""))
        except LarkUnexpectedToken as error:
            raise self._of_1_8(self._unexpected_token(error.token)) from None
        except _SEMANTIC_ERRORS as error:
            raise self._of_1_8(self._semantic_error(error)) from None
        except ParseError as error:
            raise self._of_1_8(error) from None
        return tuple(self._statements)

    def _of_1_8(self, error: ParseError) -> ParseError:
        """Returns InfluxDB 1.8's error in place of *error*, if both versions reject the text."""
        if self._dialect or not self._is_new or self._was_new:
            return error
        try:
            _Parse(self._text, self._parameters, self._limits, dialect="1.8").statements()
        except ParseError as older:
            return older
        return error

    def _end(self, token: Token) -> None:
        """Completes the current statement at *token*, which is a `;` or the end of the text.

        Stores the statement and calls `on_statement`. Raises LarkUnexpectedToken with *token* if
        the statement is incomplete.
        """
        try:
            statement: Statement | None = self._parser.feed_token(Token("$END", ""))
        except LarkUnexpectedToken as error:
            error.token = token
            raise
        if isinstance(statement, Delete) and any(one.policy for one in statement.sources):
            self._is_new = True
            if self._dialect == "1.8":
                raise ParseError("retention policy not supported at line 1, char 1")
        self._was_new, self._is_new = self._was_new or self._is_new, False
        if statement is not None:
            self._statements.append(statement)
            if self._on_statement is not None:
                self._on_statement(statement)

    def completions(self) -> Completions:
        """Returns what may follow the text, or `Completions()` if the text is invalid."""
        try:
            self._feed_all()
        except (LarkUnexpectedToken, ParseError, *_SEMANTIC_ERRORS):
            return Completions()
        following: set[str] = self._parser.accepts()  # type: ignore[no-untyped-call]
        if "$END" in following:
            following = following | {"SEMICOLON"}
        following = {"VERBOSE" if word == "EXPLAIN_VERBOSE" else word for word in following}
        words = (word for word in following if is_keyword(word) or word in _SOFT_WORDS)
        return Completions(
            tuple(sorted(words)),
            "IDENT" in following,
            bool(following - {"$END"}),
            "$END" in following,
        )

    def _feed_all(self) -> None:
        check_limits, append = self._limit_checker.check, self.tokens.append
        feed = self._parser.parser_state.feed_token
        for token in scan(self._text, self._regex_follows):
            type = token.type
            if type in _RETYPED:
                token = self._retype(token)
                type = token.type
            if type in _PARENTHESES or self._levels:
                self._check_depth(token)
            check_limits(token)
            append(token)
            if type == "BADREGEX":
                raise ParseError("bad regex: ", *position(self._text, token))
            if type == "SEMICOLON":
                self._end(token)
                self._parser = _LARK.parse_interactive()
                feed = self._parser.parser_state.feed_token
            else:
                feed(token)

    def _check_depth(self, token: Token) -> None:
        """Updates the nesting depth for *token*. Raises ParseError if it exceeds `MAX_DEPTH`.

        A sign counts as a level, because `-x` is printed as `(-1 * x)`.
        """
        if token.type == "RPAR":
            del self._levels[-1:]
        elif token.type == "LPAR":
            self._levels.append(1 + _has_sign(self.tokens))
        elif token.type == "CALL_PAREN":
            self._levels.append(1 + _has_sign(self.tokens[-3:-1]))
        depth = sum(self._levels) + (token.type == "IDENT" and _has_sign(self.tokens))
        if depth > MAX_DEPTH:
            raise ParseError(f"nested deeper than {MAX_DEPTH} levels", *position(self._text, token))

    def _retype(self, token: Token) -> Token:
        """Returns the token that the parser receives in place of *token*, or *token* itself.

        A bound parameter `$name` is replaced by its value. A name such as `fill` is replaced by a
        keyword if the grammar accepts the keyword here. Raises ParseError for an unprintable value.
        """
        if token.type == "BOUND":
            try:
                token = bind(token, self._parameters)
            except UnprintableValue as error:
                raise ParseError(str(error), *position(self._text, token)) from None
            if token.type == "IDENT" and self._follows_cast(token):
                return token.update("CAST_TYPE")
        if token.type == "IDENT":
            word = token.lower()
            soft = _SOFT_KEYWORDS.get(word)
            if soft is not None and soft in self._choices():
                return token.update(soft)
            if word in NEW_KEYWORDS and self._text[token.start_pos or 0] != '"':
                return self._new_keyword(token, NEW_KEYWORDS[word])
        elif (sign := NEW_SIGNS.get(token.type)) is not None and self._dialect != "1.8":
            if sign in self._choices():
                self._is_new = True
                return token.update(sign)
        return token

    def _follows_cast(self, token: Token) -> bool:
        """Returns whether *token*, a name, is a type directly after `::`."""
        last = self.tokens[-1] if self.tokens else None
        return last is not None and last.type == "CAST" and token.lower() in CASTS

    def _new_keyword(self, token: Token, terminals: Sequence[str]) -> Token:
        """Returns the name *token* as a keyword of 1.12, if the dialect and the grammar have it."""
        if self._dialect == "1.8":
            return token
        choices = self._choices()
        for keyword in terminals:
            if keyword in choices:
                self._is_new = True
                return token.update(keyword)
        return token.update(terminals[0]) if self._dialect == "1.12" else token

    def _regex_follows(self, previous: Token | None) -> bool:
        return "REGEX" in self._choices()

    def _choices(self) -> Container[str]:
        """Returns the terminals that the parser accepts next, and possibly others.

        This is faster than Lark's `accepts`, which tests each of these terminals.
        """
        choices: Container[str] = self._parser.choices()  # type: ignore[no-untyped-call]
        return choices

    # ---- errors

    def _unexpected_token(self, wrong: Token) -> ParseError:
        accepted = self._parser.accepts()  # type: ignore[no-untyped-call]
        if self._dialect != "1.12" and not self._is_new:
            accepted -= NEW_TERMINALS
        if wrong.type == "$END":
            before = self.tokens
            last = before[-1] if before else None
            ahead = "REGEX" in accepted or (
                "DOT" in accepted and last is not None and last.type == "DOT"
            )
            where = end_position(self._text, last, looked_ahead=ahead)
        else:
            before, where = self.tokens[:-1], position(self._text, wrong)
        words = _statement_token_types(before)
        wanted: tuple[str, ...] = expected(words, accepted, self._dialect)
        if error := self._earlier_error(before, terminal(wanted[0]), accepted):
            return error
        if wrong.type in ("BOUND", "BOUND_ERROR") and {"STRING", "NUMBER"} <= accepted:
            return ParseError(missing_parameter_message(wrong))
        if wanted == (".",) and before and (blank := self._blank_after(before[-1])):
            wrong = Token("BLANK", blank, start_pos=before[-1].end_pos)
            where = position(self._text, wrong)
        if words[-1:] == ["DISTINCT"] and not self._blank_after(before[-1]):
            wanted = ("(", *wanted)
        elif "CAST_TYPE" in accepted and wrong.type == "IDENT":
            wanted = (*wanted[:2], "unsigned", *wanted[2:])
        return UnexpectedToken(display_token(wrong), wanted, *where)

    def _earlier_error(
        self, before: list[Token], ending: str, accepted: set[str]
    ) -> ParseError | None:
        """Returns the error that InfluxDB reports before it reads the wrong token, or None.

        *before* are the tokens before the wrong token, and *accepted* are the terminals that the
        grammar accepts after *before*. *ending* is the terminal that would end the last expression
        or clause of *before*. The error is semantic, such as a comparison in a field of SELECT.
        """
        if ending not in accepted:
            return None
        parser: InteractiveParser = self._parser.copy(deepcopy_values=False)  # type: ignore[no-untyped-call]
        try:
            parser.feed_token(Token(ending, ""))
        except _SEMANTIC_ERRORS as error:
            return self._semantic_error(error, [*before, Token(ending, "")])
        return None

    def _semantic_error(self, error: Exception, tokens: list[Token] | None = None) -> ParseError:
        tokens = tokens or self.tokens
        match error:
            case NoInterval():
                last = tokens[-2]  # tokens[-1] ends the SELECT
                wanted = ("GROUP BY time(...)", *([str(error)] if str(error) else []))
                return UnexpectedToken(display_token(last), wanted, *position(self._text, last))
            case NoResample():
                wrong = tokens[-1]
                return UnexpectedToken(
                    display_token(wrong), ("EVERY", "FOR"), *position(self._text, wrong)
                )
            case ConditionInField(operator=operator):
                line, char = position(self._text, _field_start(tokens))
                return ParseError(
                    f"invalid operator {operator} in SELECT clause at line {line}, char {char};"
                    " operator is intended for WHERE clause"
                )
            case BadValue(token=Token() as token):
                return ParseError(str(error), *position(self._text, token))
            case _:
                text = str(error)
                if self._dialect == "1.12" and "DELETE" in _statement_token_types(tokens)[:1]:
                    text = text.replace("retention policy", "database")
                return ParseError(text)

    def _blank_after(self, token: Token) -> str:
        """Returns the white space directly after *token*."""
        blank = _WHITE_SPACE.match(self._text, token.end_pos or 0)
        return blank[0] if blank is not None else ""


def _has_sign(before: list[Token]) -> bool:
    """Returns whether the last token of *before* is the sign of an operand, as in `2 * -x`."""
    if not before or before[-1].type not in ("PLUS", "MINUS"):
        return False
    return len(before) < 2 or before[-2].type not in _OPERAND_ENDS


def _statement_token_types(tokens: list[Token]) -> list[str]:
    """Returns the types of the tokens since the start of the last statement."""
    begin = 0
    for index in range(len(tokens) - 1, -1, -1):
        if tokens[index].type == "SEMICOLON":
            begin = index + 1
            break
    return [token.type for token in tokens[begin:]]


def _field_start(tokens: list[Token]) -> Token:
    """Returns the first token of the last SELECT field in *tokens*.

    The last of *tokens* is the token directly after this field.
    """
    depth = 0
    for index in range(len(tokens) - 2, -1, -1):
        kind = tokens[index].type
        depth += (kind == "RPAR") - (kind in ("LPAR", "CALL_PAREN"))
        if depth <= 0 and kind in ("SELECT", "COMMA"):
            return tokens[index + 1]
    return tokens[0]
