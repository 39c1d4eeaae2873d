"""Limits within which work runs in the event loop, because waking a thread would cost more."""

from headgate_grammar import ParseCache, ParseError, ShowGrants, Statement

# The most statements of one request that are executed in the event loop.
_MAX_INLINE_STATEMENTS = 4
# The longest text, in characters, that is parsed in the event loop. A text with a regular
# expression never is.
_MAX_INLINE_CHARS = 128


def parse_if_cheap(parse: ParseCache, text: str) -> tuple[tuple[Statement, ...] | None, bool]:
    """Returns the statements of *text*, and whether they came from the parse cache.

    Returns None in place of the statements in these cases:
    - *text* has more than four statements.
    - *text* is neither cached nor cheap to parse.
    - *text* is invalid. The usual execution raises the error, after it has authorized the
      statements before the error.
    """
    cached = parse.cached(text)
    statements = cached
    if cached is None and is_cheap_to_parse(text):
        try:
            statements = parse(text)
        except ParseError:
            return None, False
    if statements is not None and len(statements) > _MAX_INLINE_STATEMENTS:
        statements = None
    return statements, cached is not None


def is_cheap_to_parse(text: str) -> bool:
    """Returns whether *text* may be parsed in the event loop, because parsing it is fast.

    Such a text has at most 128 characters, and no `/`, which would begin a regular expression.
    """
    return len(text) <= _MAX_INLINE_CHARS and "/" not in text


def runs_inline(statement: Statement) -> bool:
    """Returns whether *statement* may be executed in the event loop.

    Only SHOW GRANTS may: it reads one user by an index, and all users receive the same result.
    """
    return isinstance(statement, ShowGrants)
