"""Decides which queries run in the event loop, because they cost less than waking a thread."""

from collections.abc import Sequence

from headgate_engine import Store, Table, is_read_only
from headgate_grammar import ShowDatabases, ShowUsers, Statement

# The most statements of one request that are executed in the event loop.
MAX_INLINE_STATEMENTS = 4
# The longest text, in characters, that is parsed in the event loop. A text with a regular
# expression never is.
_MAX_INLINE_CHARS = 128
# The most users, and the most databases, that are listed in the event loop.
_MAX_INLINE_ROWS = 250


def is_cheap_to_parse(text: str) -> bool:
    """Returns whether *text* may be parsed in the event loop, because parsing it is fast.

    Such a text has at most 128 characters, and no `/`, which would begin a regular expression.
    """
    return len(text) <= _MAX_INLINE_CHARS and "/" not in text


def run_inline(statements: Sequence[Statement], store: Store) -> bool:
    """Returns whether *statements* may be executed in the event loop, with the user store *store*.

    There must be at most four statements. Each must only read, and must not list many rows.
    """
    few = len(statements) <= MAX_INLINE_STATEMENTS
    return few and all(_runs_inline(statement, store) for statement in statements)


def _runs_inline(statement: Statement, store: Store) -> bool:
    """Returns whether *statement* may be executed in the event loop, with the user store *store*.

    The statement must only read. If it lists all users or all databases, the list must be short.
    """
    if not is_read_only(statement):
        return False
    match statement:
        case ShowUsers():
            return _is_small("users", store)
        case ShowDatabases():
            return _is_small("databases", store)
    return True


def _is_small(table: Table, store: Store) -> bool:
    """Returns whether *table* of *store* has at most 250 rows.

    The answer is cached until the store changes.
    """
    with store.snapshot() as snapshot:
        known = snapshot.cached((_is_small, table))
        if known is None:
            known = store.is_small(table, _MAX_INLINE_ROWS)
            snapshot.cache((_is_small, table), known)
        return bool(known)
