"""The endpoints of AuthZEN 1.0 (Authorization API): decisions about users and databases.

A subject is a user, a resource is a database, and the action is a privilege: `READ`, `WRITE` or
`ALL`. Only administrators may ask.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from headgate_engine import NotAuthorized
from headgate_grammar import Privilege
from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.json_body import read_json
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers

_PRIVILEGES = {"READ": Privilege.READ, "WRITE": Privilege.WRITE, "ALL": Privilege.ALL}
_MAX_EVALUATIONS = 1000
_PAGE_SIZE = 1000
_MAX_DIGITS = 18

_Content = Mapping[str, Any]


async def evaluate(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns `{"decision"}`: whether the subject may do the action on the resource.

    Raises what a login raises; NotAuthorized for a user without the admin flag; BadRequest.
    """
    return await _answer(request, context, "POST /access/v1/evaluation", _decision)


async def evaluate_all(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns `{"evaluations": [{"decision"}]}`: a decision for each of at most 1,000 evaluations.

    Members of the whole request are defaults of each evaluation. Raises what `evaluate` raises.
    """
    return await _answer(request, context, "POST /access/v1/evaluations", _decisions)


async def search_subjects(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the users that may do the action on the resource, a page of at most 1,000 at a time.

    Raises what `evaluate` raises.
    """
    return await _answer(request, context, "POST /access/v1/search/subject", _subjects)


async def search_resources(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the databases on which the subject may do the action. Raises what `evaluate` does."""
    return await _answer(request, context, "POST /access/v1/search/resource", _resources)


async def _answer(
    request: Request,
    context: AppContext,
    name: str,
    work: Callable[[AppContext, _Content], Any],
) -> Response:
    """Authorizes *request*, and returns the result of *work* for its body. *name* is for errors."""
    principal = await context.require_user(request)
    if not principal.has_full_access:
        raise NotAuthorized(principal.name, name, "admin privilege")
    content = await read_json(request)
    if not isinstance(content, dict):
        raise BadRequest("expected a JSON object")
    found = await context.run_in_thread(partial(work, context, content), (principal.name,))
    headers = content_headers(JsonEncoder.media_type)
    if request_id := request.headers.get("x-request-id"):
        headers.append((b"x-request-id", request_id.encode("latin-1")))
    return Response(JsonEncoder().encode(found), raw_headers=headers)


def _decision(context: AppContext, content: _Content) -> dict[str, bool]:
    subject, database = _id(content, "subject", "user"), _id(content, "resource", "database")
    engine, privilege = context.engine, _privilege(content)
    if engine.store.database(database) is None:
        return {"decision": False}
    return {"decision": engine.allows(subject, privilege, database)}


def _decisions(context: AppContext, content: _Content) -> dict[str, Any]:
    evaluations = content.get("evaluations")
    if evaluations is None:
        return dict(_decision(context, content))
    if not isinstance(evaluations, list) or len(evaluations) > _MAX_EVALUATIONS:
        raise BadRequest(f"evaluations: expected a list of at most {_MAX_EVALUATIONS}")
    defaults = {name: it for name, it in content.items() if name != "evaluations"}
    found = []
    for evaluation in evaluations:
        if not isinstance(evaluation, dict):
            raise BadRequest("evaluations: expected objects")
        found.append(_decision(context, {**defaults, **evaluation}))
    return {"evaluations": found}


def _subjects(context: AppContext, content: _Content) -> dict[str, Any]:
    database, privilege = _id(content, "resource", "database"), _privilege(content)
    _type(content, "subject", "user")
    store = context.engine.store
    if store.database(database) is None:
        return {"results": [], "page": {"next_token": ""}}
    page = content.get("page")
    after = page.get("token", "") if isinstance(page, dict) else ""
    if not isinstance(after, str) or not (
        not after or (after.isascii() and after.isdigit() and len(after) < _MAX_DIGITS)
    ):
        raise BadRequest("page.token: expected the next_token of a response")
    users = store.users_with_grants(after, _PAGE_SIZE, database=database)
    results = [
        {"type": "user", "id": user.name}
        for user in users
        if user.is_active
        and (user.admin or user.grants.get(database, Privilege.NONE) & privilege == privilege)
    ]
    next_token = users[-1].id if len(users) == _PAGE_SIZE else ""
    return {"results": results, "page": {"next_token": next_token}}


def _resources(context: AppContext, content: _Content) -> dict[str, Any]:
    subject, privilege = _id(content, "subject", "user"), _privilege(content)
    _type(content, "resource", "database")
    user = context.engine.active_user(subject)
    results = [
        {"type": "database", "id": database.name}
        for database in context.engine.store.databases()
        if user is not None
        and (user.admin or user.grants.get(database.name, Privilege.NONE) & privilege == privilege)
    ]
    return {"results": results, "page": {"next_token": ""}}


def _privilege(content: _Content) -> Privilege:
    action = content.get("action")
    name = action.get("name") if isinstance(action, dict) else None
    if not isinstance(name, str) or name.upper() not in _PRIVILEGES:
        raise BadRequest("action.name: expected READ, WRITE or ALL")
    return _PRIVILEGES[name.upper()]


def _type(content: _Content, member: str, expected: str) -> dict[str, Any]:
    """Returns the object *member*, which must have the type *expected*."""
    found = content.get(member)
    if not isinstance(found, dict) or found.get("type") != expected:
        raise BadRequest(f"{member}.type: expected {expected}")
    return found


def _id(content: _Content, member: str, expected: str) -> str:
    """Returns the id of the object *member*, which must have the type *expected*."""
    id = _type(content, member, expected).get("id")
    if not isinstance(id, str) or not id:
        raise BadRequest(f"{member}.id: expected a text")
    return id
