"""The pages of databases: the list, and the users of one database."""

import gzip
import json
from functools import partial

from starlette.responses import Response

from headgate_engine import ApiKey, Database, DatabaseNotFound, StatementError, User
from headgate_grammar import CreateDatabase, DropDatabase, Privilege, Statement
from headgate_server.api.accounts.requests import is_id
from headgate_server.api.accounts.views import privilege_of
from headgate_server.api.query import run_statement, statement_store
from headgate_server.console.pages.users import MAX_KEYS, grant_statement
from headgate_server.console.visit import Visit
from headgate_server.console.wording import is_confirmed, key_state, visible
from headgate_server.http.errors import BadRequest
from headgate_server.http.response_body import collect


def show_list(visit: Visit) -> Response:
    """Shows the databases by name."""
    databases = visit.databases()
    wanted = visit.query.get("db", "")
    return visit.render(
        "databases.html",
        databases=[it for it in databases if wanted in it.name],
        total=len(databases),
        store=_store_name(visit),
    )


async def create(visit: Visit) -> Response:
    """Creates a database, as CREATE DATABASE does."""
    statement = CreateDatabase(visit.form.get("name", ""))
    if not statement.name:
        raise BadRequest("A database needs a name.")
    if await visit.context.run_in_thread(partial(visit.context.store.database, statement.name)):
        return visit.redirect("/console/databases", "This database exists. Nothing was changed.")
    await _run(visit, statement)
    return visit.redirect("/console/databases", "Database created.", (str(statement),))


def show(visit: Visit) -> Response:
    """Shows the users with access to the database, and their keys for it."""
    database = _database(visit)
    size, after = visit.context.settings.console_page_size, visit.query.get("after", "")
    after = after if is_id(after) else ""
    users = visit.context.store.users_with_grants(after, size + 1, database=database.name)
    rows = [
        (user, _privilege(user, database), _keys(visit, user, database)) for user in users[:size]
    ]
    rows.sort(key=lambda row: row[0].name)
    return visit.render(
        "database.html",
        database=database,
        rows=rows,
        next_after=users[size - 1].id if len(users) > size else "",
        store=_store_name(visit),
    )


async def change(visit: Visit) -> Response:
    """Grants a user a privilege on the database, or drops the database."""
    database = await visit.context.run_in_thread(lambda: _database(visit))
    if visit.form.get("action") == "drop":
        if not is_confirmed(visit.form.get("confirm", ""), database.name):
            raise BadRequest("Type the name of the database to drop it.")
        statement = DropDatabase(database.name)
        await _run(visit, statement)
        return visit.redirect("/console/databases", "Database dropped.", (str(statement),))
    ran = await visit.context.run_in_thread(lambda: _grant(visit, database))
    done = "Rights changed." if ran else "Nothing to change."
    return visit.redirect(visit.page.url.path, done, tuple(ran))


def _grant(visit: Visit, database: Database) -> list[str]:
    name = visit.form.get("user", "")
    user = visit.context.engine.user(name)
    if user is None:
        raise BadRequest(f"There is no user {visible(name)}." if name else "Type a user's name.")
    if user.admin:
        raise BadRequest("This user is an administrator, and has all privileges already.")
    wanted = privilege_of(visit.form.get("privilege", ""), "privilege")
    if user.grants.get(database.name, Privilege.NONE) is wanted:
        return []
    statement = grant_statement(user, database, wanted)
    visit.context.engine.execute_statement(statement, visit.principal, "", visit.address)
    return [str(statement)]


async def _run(visit: Visit, statement: Statement) -> None:
    """Runs *statement* as /query does. Raises StatementError for the error in its result."""
    response = await run_statement(visit.request, visit.context, visit.principal, statement)
    _, headers, body = await collect(response, visit.request.scope, visit.request.receive)
    if (b"content-encoding", b"gzip") in headers:  # the browser accepts it
        body = gzip.decompress(body)
    content = json.loads(body)
    found = [it["error"] for it in (content, *content.get("results", ())) if "error" in it]
    if found:
        raise StatementError(found[0])


def _store_name(visit: Visit) -> str:
    """Returns the name of the store that executes CREATE and DROP DATABASE, too; "": none."""
    store = statement_store(visit.request, visit.context)
    return store.settings.name if store is not None else ""


def _database(visit: Visit) -> Database:
    for database in visit.context.store.databases():
        if database.id == visit.path_id():
            return database
    raise DatabaseNotFound("this database")


def _privilege(user: User, database: Database) -> Privilege:
    return Privilege.ALL if user.admin else user.grants.get(database.name, Privilege.NONE)


def _keys(visit: Visit, user: User, database: Database) -> list[tuple[ApiKey, Privilege]]:
    """Returns the keys of *user* with rights on *database*, and these rights."""
    found = []
    for key in visit.context.engine.api_keys.keys("", MAX_KEYS, owner=user):
        if key_state(key) == "expired":
            continue
        held = key.scope.restrict(user, [database.name])
        if right := Privilege.ALL if held.admin else held.grants.get(database.name):
            found.append((key, right))
    return found
