"""The first page: a table of users and databases with the privileges in its cells."""

import csv
import io
from collections.abc import Sequence
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import Response

from headgate_engine import Database, User
from headgate_grammar import Privilege
from headgate_server.api.accounts.requests import is_id
from headgate_server.console.rendering import in_slices
from headgate_server.console.visit import Visit
from headgate_server.console.wording import privilege, visible

_MAX_CSV_USERS, _MAX_CSV_CELLS = 10_000, 1_000_000
_FORMULA = tuple("=+-@＝＋－＠")
_KINDS = {"READ": "read", "WRITE": "write", "ALL": "all", "–": "none"}


def show(visit: Visit) -> Response:
    """Shows which user may do what: for administrators all users, for others their own row."""
    store, settings = visit.context.store, visit.context.settings
    contains, wanted = visit.query.get("name", ""), visit.query.get("db", "")
    databases = [it for it in visit.databases() if wanted in it.name]
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
    # A person without the admin flag sees their own row, which leads to their account.
    links = [f"?first={quote(it.name, safe='')}" if visit.is_admin else "" for it in columns]
    rows, cells = [], _Cells(columns, links)
    for user in in_slices(users[:size]):
        base = f"/console/users/{user.id}" if visit.is_admin else "/console/account"
        rows.append((user, base, cells.of(user, base)))
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
    number = int(text) if is_id(text) else 0
    return number if number < count else 0


def _words(user: User, databases: Sequence[Database]) -> list[str]:
    """Returns the word in each cell of the row of *user*."""
    if user.admin:
        return ["ALL"] * len(databases)
    held, none = user.grants, Privilege.NONE
    return [privilege(held.get(database.name, none)) for database in databases]


class _Cells:
    """Makes the cells of a row in the columns *databases* as HTML.

    A table has thousands of cells, which a template would escape one by one. *links*, the ends of
    the cells' addresses, and the start of a row's addresses have no character of HTML.
    """

    def __init__(self, databases: Sequence[Database], links: Sequence[str]) -> None:
        self._databases = databases
        # For each word, what stands between the addresses' starts if all cells have the word.
        self._ends = {word: [f'{link}">{word}</a></td>' for link in links] for word in _KINDS}
        self._starts = {word: f'<td><a class="cell {kind}" href="' for word, kind in _KINDS.items()}

    def of(self, user: User, base: str) -> Markup:
        """Returns the cells of the row of *user*. Their addresses start with *base*."""
        starts, ends = self._starts, self._ends
        words = enumerate(_words(user, self._databases))
        return Markup("".join([starts[word] + base + ends[word][at] for at, word in words]))  # noqa: S704


def _csv(visit: Visit, contains: str, databases: Sequence[Database]) -> Response:
    """Returns the table as CSV, with all databases of the filter, and at most 10,000 users.

    It has at most a million cells, in which case fewer users.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["user", "admin", *(_text(it.name) for it in databases)])
    after, left = "", min(_MAX_CSV_USERS, _MAX_CSV_CELLS // max(1, len(databases)))
    while left:
        users: Sequence[User]
        if visit.is_admin:
            users = visit.context.store.users_by_name(contains, after, min(left, 500))
        else:
            users, left = [visit.user], 1
        for user in users:
            words = ["" if word == "–" else word for word in _words(user, databases)]
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
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
