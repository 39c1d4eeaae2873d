"""What is done sooner than a thread is woken for it: bounds, and nothing else."""

from headgate_grammar import ParseCache, ParseError, ShowGrants, Statement

# So many statements may be executed between two other requests.
_FEW = 4
# So long a text may be parsed, regular expressions excepted.
_SHORT = 128


def parsed_soon(parse: ParseCache, text: str) -> tuple[tuple[Statement, ...] | None, bool]:
    """The statements of *text*, if they are few, and known or parsed in no time; and whether they
    were known. None for a text that does not parse: a statement before the fault may be denied.
    """
    known = parse.known(text)
    statements = known
    if known is None and is_short(text):
        try:
            statements = parse(text)
        except ParseError:
            return None, False
    if statements is not None and len(statements) > _FEW:
        statements = None
    return statements, known is not None


def is_short(text: str) -> bool:
    """Returns whether *text* may be parsed in the event loop: it has few characters and no regular
    expression.
    """
    return len(text) <= _SHORT and "/" not in text


def is_quick(statement: Statement) -> bool:
    """An indexed read, the same for everybody who may."""
    return isinstance(statement, ShowGrants)
