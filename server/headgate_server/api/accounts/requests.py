"""What the endpoints of accounts share: the login, the JSON in bodies, the JSON of responses."""

from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from headgate_engine import NotAuthorized, Principal, User, UserNotFound
from headgate_server.app_context import AppContext
from headgate_server.config.nearest_name import suggestion
from headgate_server.formats import JsonEncoder
from headgate_server.gateway.local_paths import path_ids
from headgate_server.http.errors import (
    BadRequest,
    CrossSiteRequest,
    NotAPerson,
    UnsupportedMedia,
)
from headgate_server.http.json_body import read_json
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers

_MAX_PAGE, _PAGE = 1000, 100
_MAX_ID_DIGITS = 18
_FILTERS = ("name", "user", "pending", "disabled")  # parameters of the next page, too
_NO_STORE = (b"cache-control", b"no-store")


async def authenticate(request: Request, context: AppContext) -> Principal:
    """Returns the principal of *request*.

    Raises what a login raises, and CrossSiteRequest for a change from a page of another site.
    """
    principal = await context.require_user(request)
    if request.cross_site and request.method not in ("GET", "HEAD"):
        raise CrossSiteRequest
    return principal


async def require_admin(request: Request, context: AppContext) -> Principal:
    """Returns the principal of *request*. Raises NotAuthorized without the admin flag, too."""
    principal = await authenticate(request, context)
    if not principal.has_full_access:
        raise NotAuthorized(principal.name, f"{request.method} {request.route}", "admin privilege")
    return principal


async def require_person(request: Request, context: AppContext) -> tuple[Principal, User]:
    """Returns the principal of *request*, a signed-in person, and their user.

    Raises what a login raises, and NotAPerson for an API key or a token without a stored user.
    """
    principal = await authenticate(request, context)
    if principal.key is not None:
        raise NotAPerson("an API key is not a person")
    if principal.user is None or principal.transient:
        raise NotAPerson("no user is signed in")
    if principal.transient_rights is not None:
        raise NotAPerson("this token's rights are for one request")
    return principal, principal.user


def path_id(request: Request, index: int = 0) -> str:
    """Returns the id at *index* in the path of *request*."""
    return path_ids(request.raw_path)[index]


def is_id(text: str) -> bool:
    """Returns whether *text* may be the id of a row."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS


def user_of_path(request: Request, context: AppContext) -> User:
    """Returns the user of the first id in the path. Raises UserNotFound. Blocking."""
    id = path_id(request)
    user = context.store.user_by_id(id) if is_id(id) else None
    if user is None:
        raise UserNotFound
    return user


async def read_object(
    request: Request,
    context: AppContext,
    principal: Principal,
    members: Collection[str],
    *,
    required: Collection[str] = (),
) -> tuple[Principal, dict[str, Any]]:
    """Returns *principal* with its rights after the body, and the JSON object in the body.

    The object may have the *members*. The client chooses how long the body takes: a login that
    ended meanwhile makes no change.

    Raises what `still_valid` raises; BadRequest for an unknown or missing member; UnsupportedMedia
    for another type than JSON, because a plain form of another site can send no JSON.
    """
    content = await read_json_object(request, members, required=required)
    return still_valid(request, context, principal), content


def still_valid(request: Request, context: AppContext, principal: Principal) -> Principal:
    """Returns *principal* with its rights now.

    Raises AuthenticationFailed if the login has ended, and NotAuthorized if the admin flag is gone.
    """
    now = context.engine.renew(principal)
    if principal.has_full_access and not now.has_full_access:
        raise NotAuthorized(principal.name, f"{request.method} {request.route}", "admin privilege")
    return now


async def read_json_object(
    request: Request, members: Collection[str], *, required: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the JSON object in the body of *request*. Raises what `read_object` raises."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/json"):
        raise UnsupportedMedia("expected application/json")
    content = await read_json(request)
    if not isinstance(content, dict):
        raise BadRequest("the body: expected an object")
    for name in content:
        if name not in members:
            raise BadRequest(f"unknown member {name}{suggestion(name, members)}")
    for name in required:
        if name not in content:
            raise BadRequest(f"{name}: missing")
    return content


def has_body(request: Request) -> bool:
    """Returns whether *request* has a body."""
    headers = request.headers
    return headers.get("content-length", "0") not in ("", "0") or "transfer-encoding" in headers


def member(content: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    """Returns the member *name* of *content*, of the type *kind*. Raises BadRequest."""
    value = content.get(name, default)
    wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    if wrong and not (name not in content and value is None):
        words = {str: "a text", bool: "true or false", int: "a whole number", dict: "an object"}
        raise BadRequest(f"{name}: expected {words.get(kind, 'a list')}")
    return value


def decoded_password(content: Mapping[str, Any], name: str) -> str:
    """Returns the member *name*: a password as Base64 of UTF-8. Raises BadRequest."""
    try:
        return b64decode(member(content, name, str, ""), validate=True).decode()
    except ValueError:
        raise BadRequest(f"{name}: expected Base64 of UTF-8") from None


def page_of(request: Request) -> tuple[str, int]:
    """Returns the parameters `after` and `limit` of *request*. Raises BadRequest."""
    parameters = request.url_params
    after, limit = parameters.get("after", ""), parameters.get("limit", str(_PAGE))
    for name, value in (("after", after or "0"), ("limit", limit)):
        if not is_id(value):
            raise BadRequest(f"{name}: expected a number")
    if not 1 <= int(limit) <= _MAX_PAGE:
        raise BadRequest(f"limit: expected 1 to {_MAX_PAGE}")
    return after, int(limit)


def json_response(content: Any, status: int = 200) -> Response:
    """Returns the response with *content* as JSON, which no cache may store."""
    headers = [*content_headers(JsonEncoder.media_type), _NO_STORE]
    return Response(JsonEncoder().encode(content), status, headers)


def page_response(request: Request, items: Sequence[Mapping[str, Any]], limit: int) -> Response:
    """Returns the response with a page of *items*. `Link` names the next page, if there may be one.

    *limit* is the size of a full page.
    """
    response = json_response(items)
    if len(items) == limit:
        path, parameters = request.raw_path.decode("latin-1"), request.url_params
        chosen = {name: parameters[name] for name in _FILTERS if name in parameters}
        query = urlencode(chosen | {"after": items[-1]["id"], "limit": limit})
        link = f'<{path}?{query}>; rel="next"'
        response.raw_headers.append((b"link", link.encode("latin-1")))
    return response


def no_content() -> Response:
    """Returns the response to a change without a result."""
    return Response(b"", 204, [_NO_STORE])
