"""The first page: a table of users and databases with the privileges in its cells."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from headgate_engine import Database, User
from headgate_grammar import Privilege
from headgate_server.console.visit import Visit
from headgate_server.console.wording import privilege, visible

_MAX_CSV_USERS = 10_000
_CLASSES = {"READ": "read", "WRITE": "write", "ALL": "all"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table: the word, its class, and the part of the address after the user's."""

    word: str
    kind: str
    suffix: str


def show(visit: Visit) -> Response:
    """Shows which user may do what: for administrators all users, for others their own row."""
    store, settings = visit.context.store, visit.context.settings
    contains, wanted = visit.query.get("name", ""), visit.query.get("db", "")
    databases = [it for it in store.databases() if wanted in it.name]
    databases.sort(key=lambda it: it.name)
    if visit.query.get("format") == "csv":
        return _csv(visit, contains, databases)
    after, size = visit.query.get("after", ""), settings.console_page_size
    users: Sequence[User]
    if visit.is_admin:
        users = store.users_by_name(contains, after, size + 1)
        total = store.user_count()
    else:
        users, total = [visit.user], 1
    first = _offset(visit, len(databases))
    columns = databases[first : first + settings.console_databases_shown]
    next_after = users[size - 1].name if len(users) > size else ""
    suffixes = [f"?db={quote(it.name, safe='')}#rights" for it in columns]
    rows = [(user, _cells(user, columns, suffixes)) for user in users[:size]]
    return visit.render(
        "access.html",
        rows=rows,
        columns=columns,
        total_users=total,
        total_databases=len(databases),
        next_after=next_after,
        first=first,
        shown=settings.console_databases_shown,
    )


def _offset(visit: Visit, count: int) -> int:
    """Returns the index of the first database of the page, from the parameter `from`."""
    text = visit.query.get("from", "0")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return number if number < count else 0


def _cells(user: User, columns: Sequence[Database], suffixes: Sequence[str]) -> list[Cell]:
    if user.admin:
        return [Cell("ALL", "admin", suffix) for suffix in suffixes]
    cells = []
    for database, suffix in zip(columns, suffixes, strict=True):
        word = privilege(user.grants.get(database.name, Privilege.NONE))
        cells.append(Cell(word, _CLASSES.get(word, "none"), suffix))
    return cells


def _csv(visit: Visit, contains: str, databases: Sequence[Database]) -> Response:
    """Returns the table as CSV, with all databases of the filter, at most 10,000 users."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["user", "admin", *(_text(it.name) for it in databases)])
    after, left = "", _MAX_CSV_USERS
    while left:
        users: Sequence[User]
        if visit.is_admin:
            users = visit.context.store.users_by_name(contains, after, min(left, 500))
        else:
            users, left = [visit.user], 1
        for user in users:
            cells = _cells(user, databases, [""] * len(databases))
            words = [cell.word if cell.kind != "none" else "" for cell in cells]
            writer.writerow([_text(user.name), "yes" if user.admin else "", *words])
        if not users:
            break
        after, left = users[-1].name, left - len(users)
    return Response(
        text.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="access.csv"'},
    )


def _text(name: str) -> str:
    """Returns *name* as the text of a cell. A spreadsheet must not take it for a formula."""
    shown = visible(name)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
