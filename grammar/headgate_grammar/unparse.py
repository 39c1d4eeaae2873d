"""Statements to text, for programs that execute the text: what it is read as is checked first."""

from collections.abc import Callable, Sequence

from headgate_grammar.databases import CreateSubscription
from headgate_grammar.errors import ParseError
from headgate_grammar.parser import parse
from headgate_grammar.statements import Statement
from headgate_grammar.users import CreateUser, SetPassword


class UnparseError(Exception):
    """The text of a statement would be read as something else. `str()` holds no part of it."""

    def __init__(self) -> None:
        super().__init__("the statement cannot be written as a text that means the same")


def has_secret(statement: Statement) -> bool:
    """Returns whether *statement* may hold a password: neither it nor its text is kept then."""
    return isinstance(statement, CreateUser | SetPassword | CreateSubscription)


def unparse(statement: Statement, parse: Callable[[str], Sequence[Statement]] = parse) -> str:
    """Returns the InfluxQL text of *statement*, secrets included, after *parse* has read it back as
    *statement*.

    Takes as long as parsing the text. Raises UnparseError where it is read as anything else, which
    can only be a tree that was built by hand.
    """
    match statement:
        case CreateUser() | SetPassword() | CreateSubscription():
            text = statement.unredacted()
        case _:
            text = str(statement)
    try:
        same = tuple(parse(text)) == (statement,)
    except ParseError:
        same = False
    if not same:
        raise UnparseError
    return text
