"""`headgate access`: lists which user may do what on which database, on a file or a server."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.store_file import PAGE_SIZE, guarded, opened
from headgate_engine import Store, User
from headgate_grammar import Privilege
from headgate_shell.output.control_characters import escape_controls

_LETTERS = {Privilege.NONE: "", Privilege.READ: "R", Privilege.WRITE: "W", Privilege.ALL: "RW"}
_ADMIN = "A"
_LEGEND = "A: administrator, R: READ, W: WRITE, RW: ALL PRIVILEGES"

Rows = Iterable[Sequence[str]]


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate access`."""
    parser = CommandParser(
        prog="headgate access",
        description=f"List the users with their privileges on each database. {_LEGEND}.",
    )
    add = parser.add_argument
    add("--store", metavar="PATH", help="the store file")
    add("--config", metavar="PATH", help="the server's configuration file: its store")
    add("--user", metavar="NAME", help="only this user")
    add("--database", metavar="NAME", help="only this database, and users with access to it")
    add("--format", choices=sorted(_FORMATS), default="table", help="default: table")
    add("--server", metavar="URL", help="a running server: see headgate login")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate access`; returns the exit status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _list(flags) if flags.server is None else _list_of_server(flags))


def _list_of_server(flags: argparse.Namespace) -> int:
    # Imported on demand: a store file needs no connection.
    from headgate.access_on_server import databases_and_users

    if flags.store or flags.config:
        raise ValueError("--server: expected no --store and no --config beside it")
    databases, users = databases_and_users(flags.server, flags.user, flags.database)
    for text in _FORMATS[flags.format](databases, users):
        sys.stdout.write(text)
    return 0


def _list(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    with opened(settings) as store:
        databases = [database.name for database in store.databases()]
        if flags.database is not None:
            if flags.database not in databases:
                raise ValueError(f"database not found: {flags.database}")
            databases = [flags.database]
        users = _users(store, flags.user, flags.database or "")
        for text in _FORMATS[flags.format](databases, users):
            sys.stdout.write(text)
    return 0


def _users(store: Store, name: str | None, database: str) -> Iterator[list[User]]:
    """Yields pages of users. Raises ValueError if no user has the name *name*."""
    if name is not None:
        user = store.user(name)
        if user is None:
            raise ValueError(f"user not found: {name}")
        yield [user]
        return
    after = ""
    while page := store.users_with_grants(after, PAGE_SIZE, database=database):
        yield list(page)
        after = page[-1].id


def _cells(user: User, databases: Sequence[str]) -> list[str]:
    """Returns the name of *user*, and a letter for each of *databases*."""
    if user.admin:
        return [user.name, *(_ADMIN for _ in databases)]
    letters = [_LETTERS[user.grants.get(database, Privilege.NONE)] for database in databases]
    return [user.name, *letters]


def _table(databases: Sequence[str], pages: Iterable[list[User]]) -> Iterator[str]:
    """Yields a table with aligned columns, a page at a time. Names show control characters."""
    head = ["user", *map(escape_controls, databases)]
    for number, page in enumerate(pages):
        rows = [list(map(escape_controls, _cells(user, databases))) for user in page]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        if number == 0:
            yield _line(head, widths)
            yield _line(["-" * width for width in widths], widths)
        yield "".join(_line(row, widths) for row in rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip() + "\n"


def _markdown(databases: Sequence[str], pages: Iterable[list[User]]) -> Iterator[str]:
    """Yields a table in Markdown."""

    def row(cells: Sequence[str]) -> str:
        visible = map(escape_controls, cells)
        escaped = (cell.replace("\\", "\\\\").replace("|", "\\|") for cell in visible)
        return f"| {' | '.join(escaped)} |\n"

    yield row(["user", *databases])
    yield "|" + "---|" * (len(databases) + 1) + "\n"
    for page in pages:
        yield "".join(row(_cells(user, databases)) for user in page)


def _csv(databases: Sequence[str], pages: Iterable[list[User]]) -> Iterator[str]:
    """Yields CSV (RFC 4180) with a column for each database."""
    head = [["user", *databases]]
    for rows in chain([head], ([_cells(user, databases) for user in page] for page in pages)):
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue()


def _json(databases: Sequence[str], pages: Iterable[list[User]]) -> Iterator[str]:
    """Yields a JSON object a line: a user with the privileges by database."""
    chosen = set(databases)
    for page in pages:
        for user in page:
            grants = {
                database: str(privilege)
                for database, privilege in user.grants.items()
                if privilege and database in chosen
            }
            content = {"user": user.name, "admin": user.admin, "grants": grants}
            yield json.dumps(content, ensure_ascii=False) + "\n"


_FORMATS: dict[str, Callable[[Sequence[str], Iterable[list[User]]], Iterator[str]]] = {
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "table": _table,
}
