"""Prints a statement as InfluxQL text that another server can execute.

The text is parsed again, and the result must equal the statement. This check detects a name that
would change the meaning of the text.
"""

from collections.abc import Callable, Iterator, Sequence

from headgate_grammar.ast.databases import CreateSubscription
from headgate_grammar.ast.expressions import Call, Distinct, Expression, Operation, Paren, VarRef
from headgate_grammar.ast.select import CreateContinuousQuery, Select, Subquery
from headgate_grammar.ast.statements import Statement
from headgate_grammar.ast.users import CreateUser, SetPassword
from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.parser import parse
from headgate_grammar.text.quoting import quote_identifier

_MAX_SHOWN_CHARS = 40


class UnparseError(Exception):
    """The text of a statement is invalid or has another meaning. `str()` holds no secret."""

    def __init__(self) -> None:
        super().__init__("the statement cannot be written as a text that means the same")


class UnquotedName(UnparseError):
    """A continuous query holds *name*, which InfluxDB would store without the necessary quotes."""

    def __init__(self, name: str) -> None:
        shown = quote_identifier(name[:_MAX_SHOWN_CHARS])
        Exception.__init__(
            self,
            f"InfluxDB stores the name {shown} of a continuous query without quotes:"
            " expected letters, digits and _",
        )


def has_secret(statement: Statement) -> bool:
    """Returns whether *statement* may hold a secret: a password, or a login in a destination.

    The caches store neither such a statement nor its text.
    """
    return isinstance(statement, CreateUser | SetPassword | CreateSubscription)


def unparse(statement: Statement, parse: Callable[[str], Sequence[Statement]] = parse) -> str:
    """Returns the InfluxQL text of *statement*, secrets included.

    The text is checked: *parse* must return only *statement* for it. This check takes most of the
    time.

    Raises:
        UnparseError: the text is invalid or has another meaning. This is possible only for a
            *statement* that was built without the parser.
        UnquotedName: *statement* is a continuous query that InfluxDB would store with another
            meaning.
    """
    match statement:
        case CreateUser() | SetPassword() | CreateSubscription():
            text = statement.unredacted()
        case CreateContinuousQuery(select=select):
            _check_stored(select)
            text = str(statement)
        case _:
            text = str(statement)
    try:
        same = tuple(parse(text)) == (statement,)
    except ParseError:
        same = False
    if not same:
        raise UnparseError
    return text


def _check_stored(select: Select) -> None:
    """Raises UnquotedName if InfluxDB would store *select* with another meaning.

    InfluxDB 1.6 stores a continuous query as text and parses the text again for each run. InfluxDB
    prints the names of fields, tags and functions without quotes. A name such as `a FROM secret`
    could therefore become a source or target that was not authorized.
    """
    for name in _unquoted_names(select):
        if any(part != quote_identifier(part) for part in name.split(".")):
            raise UnquotedName(name)


def _unquoted_names(select: Select) -> Iterator[str]:
    """Yields the names in *select* and its subqueries that InfluxDB prints without quotes."""
    for field in select.fields:
        yield from _expression_names(field.expression)
    if select.condition is not None:
        yield from _expression_names(select.condition)
    for dimension in select.dimensions:
        yield from _expression_names(dimension)
    for source in select.sources:
        if isinstance(source, Subquery):
            yield from _unquoted_names(source.select)


def _expression_names(expression: Expression) -> Iterator[str]:
    match expression:
        case VarRef(name) | Distinct(name):
            yield name
        case Call(name, arguments):
            if name != "distinct":  # the one keyword that may be called
                yield name
            for argument in arguments:
                yield from _expression_names(argument)
        case Paren(inner):
            yield from _expression_names(inner)
        case Operation(first, rest):
            yield from _expression_names(first)
            for _, operand in rest:
                yield from _expression_names(operand)
        case _:
            pass
