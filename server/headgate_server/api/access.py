"""The endpoint /api/access: which user may do what on which database, for administrators."""

from functools import partial
from typing import Any

from headgate_engine import NotAuthorized, User, UserNotFound
from headgate_grammar import Privilege
from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.errors import DatabaseNotFound
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers

_MAX_USERS = 1000
_MAX_DIGITS = 12


async def access(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns users with their grants, in order of creation; at most 1,000.

    With the parameter `database`: a list of `{"id", "user", "admin", "privilege"}`, of all users
    with access to that database. Without it: `{"databases", "users"}`. `name` chooses one user.
    `after` is the id of the last user of the previous page, and `limit` the size of a page.

    Raises what a login raises; NotAuthorized for a user without the admin flag; UserNotFound,
    DatabaseNotFound, BadRequest.
    """
    principal = await context.require_user(request)
    if not principal.has_full_access:
        raise NotAuthorized(principal.name, "GET /api/access", "admin privilege")
    parameters = request.url_params
    after, limit = parameters.get("after", ""), parameters.get("limit", str(_MAX_USERS))
    for name, value in (("after", after or "0"), ("limit", limit)):
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
            raise BadRequest(f"{name}: expected a number")
    read = partial(
        _read,
        context,
        parameters.get("name", ""),
        parameters.get("database", ""),
        after,
        min(int(limit), _MAX_USERS),
    )
    content = await context.run_in_thread(read)
    return Response(
        JsonEncoder().encode(content), raw_headers=content_headers(JsonEncoder.media_type)
    )


def _read(context: AppContext, name: str, database: str, after: str, limit: int) -> Any:
    """Returns the content of the response. Blocking."""
    store = context.engine.store
    if database and store.database(database) is None:
        raise DatabaseNotFound(f"database not found: {database}")
    if name:
        user = context.engine.user(name)
        if user is None:
            raise UserNotFound
        users = [user]
    else:
        users = [*store.users_with_grants(after, limit, database=database)]
    if database:
        return [
            {
                "id": user.id,
                "user": user.name,
                "admin": user.admin,
                "is_disabled": not user.is_active,
                "privilege": str(_privilege(user, database)),
            }
            for user in users
        ]
    return {
        "databases": [one.name for one in store.databases()],
        "users": [
            {
                "id": user.id,
                "name": user.name,
                "admin": user.admin,
                "is_disabled": not user.is_active,
                "grants": {on: str(it) for on, it in user.grants.items() if it},
            }
            for user in users
        ],
    }


def _privilege(user: User, database: str) -> Privilege:
    return Privilege.ALL if user.admin else user.grants.get(database, Privilege.NONE)
