"""The endpoints of API keys, for administrators and for the keys' owners."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from headgate_engine import (
    GRACE_SECONDS,
    ApiKey,
    KeyNotFound,
    NotAuthorized,
    Principal,
    User,
    UserNotFound,
)
from headgate_server.api.accounts.requests import (
    authenticate,
    has_body,
    json_response,
    member,
    no_content,
    page_of,
    page_response,
    path_id,
    read_object,
    require_admin,
    require_person,
    user_of_path,
)
from headgate_server.api.accounts.views import key_json, scope_of
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_NEW_KEY = ("name", "role", "admin", "everywhere", "grants", "ttlSeconds", "expiresAt")
_ROTATION = ("graceSeconds", "ttlSeconds")


async def create_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Makes an API key, of the user that the body names or of the caller. Returns 201.

    The response has the key's text, which is shown only once.
    """
    principal = await authenticate(request, context)
    principal, content = await read_object(
        request, context, principal, (*_NEW_KEY, "user"), required=["name"]
    )
    owner = member(content, "user", str, principal.name)
    return await _create(request, context, principal, owner, content)


async def create_own_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Makes an API key of the caller. Returns 201 with the key's text."""
    principal, user = await require_person(request, context)
    principal, content = await read_object(request, context, principal, _NEW_KEY, required=["name"])
    return await _create(request, context, principal, user.name, content)


async def _create(
    request: Request,
    context: AppContext,
    principal: Principal,
    owner: str,
    content: Mapping[str, Any],
) -> Response:
    if not (principal.has_full_access or context.settings.user_keys):
        raise NotAuthorized(principal.name, "create a key", "admin privilege: user-keys is off")
    if not owner:
        raise BadRequest("user: missing")
    user = context.engine.user(owner)
    if principal.user is not None and owner == principal.name:
        user = principal.user  # and no later user of that name
    if user is None:
        raise UserNotFound
    create = partial(
        context.engine.api_keys.create,
        principal,
        user,
        member(content, "name", str, ""),
        scope_of(content),
        request.audit_address,
        lifetime=member(content, "ttlSeconds", int, None),
        expires_at=_time(content),
    )
    key, text = await context.run_in_thread(create, (principal.name,))
    return json_response(key_json(key, text), 201)


def _time(content: Mapping[str, Any]) -> int | None:
    """Returns the member `expiresAt` as a Unix time, or None. Raises BadRequest."""
    text = member(content, "expiresAt", str, None)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return int(found.timestamp())
    except (ValueError, OverflowError):
        raise BadRequest("expiresAt: expected a time such as 2026-12-31T00:00:00Z") from None


async def list_keys(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns a page of all keys, or of the user that the parameter `user` names."""
    await require_admin(request, context)
    after, limit = page_of(request)
    name = request.url_params.get("user", "")

    def read() -> list[dict[str, Any]]:
        owner = context.engine.user(name) if name else None
        if name and owner is None:
            raise UserNotFound
        return [key_json(key) for key in context.engine.api_keys.keys(after, limit, owner=owner)]

    return page_response(request, await context.run_in_thread(read), limit)


async def list_own_keys(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns a page of the caller's keys."""
    _, user = await require_person(request, context)
    after, limit = page_of(request)
    read = partial(context.engine.api_keys.keys, after, limit, owner=user)
    keys = await context.run_in_thread(read)
    return page_response(request, [key_json(key) for key in keys], limit)


async def list_keys_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns a page of the keys of the user in the path."""
    await require_admin(request, context)
    after, limit = page_of(request)

    def read() -> list[dict[str, Any]]:
        user = user_of_path(request, context)
        return [key_json(key) for key in context.engine.api_keys.keys(after, limit, owner=user)]

    return page_response(request, await context.run_in_thread(read), limit)


async def revoke_keys_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Revokes all keys of the user in the path, and returns their number."""
    principal = await require_admin(request, context)

    def revoke() -> int:
        user = user_of_path(request, context)
        return context.engine.api_keys.revoke_all(principal, user, request.audit_address)

    return json_response({"revoked": await context.run_in_thread(revoke)})


async def show_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the key in the path, for its owner and administrators."""
    principal = await _login(request, context)
    key = await context.run_in_thread(partial(_find, request, context, principal))
    return json_response(key_json(key))


async def revoke_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Revokes the key in the path."""
    principal = await _login(request, context)

    def revoke() -> None:
        key = _find(request, context, principal)
        context.engine.api_keys.revoke(principal, key, request.audit_address)

    await context.run_in_thread(revoke)
    return no_content()


async def rotate_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Gives the key in the path a new text, which the response has.

    The previous one ends later.
    """
    principal = await _login(request, context)
    content: dict[str, Any] = {}
    if has_body(request):
        principal, content = await read_object(request, context, principal, _ROTATION)
    if "ttlSeconds" in content and not (principal.has_full_access or context.settings.user_keys):
        raise NotAuthorized(principal.name, "extend a key", "admin privilege: user-keys is off")
    grace = member(content, "graceSeconds", int, GRACE_SECONDS)
    lifetime = member(content, "ttlSeconds", int, None)

    def rotate() -> tuple[ApiKey, str]:
        key = _find(request, context, principal)
        return context.engine.api_keys.rotate(
            principal, key, request.audit_address, grace=grace, lifetime=lifetime
        )

    key, text = await context.run_in_thread(rotate)
    return json_response(key_json(key, text))


async def end_previous_key(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends the previous text of the key in the path, before its grace is over."""
    principal = await _login(request, context)

    def end() -> None:
        key = _find(request, context, principal)
        context.engine.api_keys.end_previous(principal, key, request.audit_address)

    await context.run_in_thread(end)
    return no_content()


async def _login(request: Request, context: AppContext) -> Principal:
    """Returns the principal of *request*, which must be a person below `/api/user/`."""
    if request.route.startswith("/api/user/"):
        return (await require_person(request, context))[0]
    principal = await authenticate(request, context)
    if principal.key is not None and not principal.has_full_access:
        raise NotAuthorized(principal.name, f"{request.method} {request.route}", "admin privilege")
    return principal


def _find(request: Request, context: AppContext, principal: Principal) -> ApiKey:
    """Returns the key in the path, if *principal* may see it. Raises KeyNotFound. Blocking."""
    owner: User | None = None
    if not principal.has_full_access or request.route.startswith("/api/user/"):
        owner = principal.user
        if owner is None or principal.transient:
            raise KeyNotFound
    return context.engine.api_keys.find(path_id(request), owner=owner)
