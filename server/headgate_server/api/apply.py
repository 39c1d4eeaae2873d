"""The endpoint /api/apply: makes users, grants and databases match a declared state."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from headgate_engine import (
    DeclaredState,
    NotAuthorized,
    OutcomeUnknown,
    Principal,
    StatementError,
    StoreUnavailable,
    apply_changes,
    check_no_drops,
    plan_changes,
)
from headgate_server.app_context import AppContext
from headgate_server.config.declared_state_reader import read_declared_state
from headgate_server.config.nearest_name import suggestion
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.json_body import parse_json, read_bytes
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers

_MAX_BODY_BYTES = 1 << 24
_MAX_PASSWORDS = 200
_FLAGS = ("dry_run", "prune")
_LOGIN = ("u", "p")


async def apply(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Makes the user store match the state in the body, for administrators.

    The body is JSON in the form of the file for `headgate apply`, with `password` in place of
    `password-file`. The response has the `changes` as statements without passwords, and whether
    they were `applied`: not with the parameter `dry_run=true`. `prune=true` drops other users and
    databases. All changes are made in one transaction, or none.

    Raises what a login raises; NotAuthorized for a user without the admin flag; BadRequest,
    CrossSiteRequest, TooLarge, StoreUnavailable, OutcomeUnknown.
    """
    principal = await context.require_user(request)
    if not principal.has_full_access:
        raise NotAuthorized(principal.name, "POST /api/apply", "admin privilege")
    if request.cross_site:
        raise CrossSiteRequest
    _check_names(request.url_params)
    flags = {name: _flag(request, name) for name in _FLAGS}
    body = await read_bytes(request, _MAX_BODY_BYTES)
    # The client chooses how long the body takes: a login that ended meanwhile makes no change.
    principal = context.engine.renew(principal)
    if not principal.has_full_access:
        raise NotAuthorized(principal.name, "POST /api/apply", "admin privilege")
    work = partial(_apply, context, principal, body, request.audit_address, **flags)
    content = await context.run_in_thread(work, (principal.name,))
    return Response(
        JsonEncoder().encode(content), raw_headers=content_headers(JsonEncoder.media_type)
    )


def _check_names(parameters: Iterable[str]) -> None:
    """Raises BadRequest for an unknown parameter: a misspelt `dry_run` must change nothing."""
    for name in parameters:
        if name not in (*_FLAGS, *_LOGIN):
            raise BadRequest(f"unknown parameter {name}{suggestion(name, _FLAGS)}")


def _check_passwords(state: DeclaredState) -> None:
    """Raises ValueError for too many passwords: each costs a bcrypt, which nothing interrupts."""
    count = sum(user.password is not None for user in state.users or ())
    if count > _MAX_PASSWORDS:
        raise ValueError(f"more than {_MAX_PASSWORDS} passwords: use hashes, or several files")


def _flag(request: Request, name: str) -> bool:
    """Returns the parameter *name*, which is `true` or `false`. Raises BadRequest."""
    value = request.url_params.get(name, "false")
    if value not in ("true", "false"):
        raise BadRequest(f"{name}: expected true or false")
    return value == "true"


def _apply(
    context: AppContext,
    principal: Principal,
    body: bytes,
    address: str,
    *,
    dry_run: bool,
    prune: bool,
) -> Any:
    """Returns the content of the response. Blocking: runs bcrypt for each password."""
    engine = context.engine
    try:
        state = parse_json(body)
        if not isinstance(state, dict):
            raise ValueError("the body: expected an object")
        declared = read_declared_state(state)
        _check_passwords(declared)
        plan = plan_changes(engine, declared, prune=prune)
        if context.gateway.mounts:
            check_no_drops(plan)
        apply_changes(engine, plan, author=principal, address=address, dry_run=dry_run)
    except (StoreUnavailable, OutcomeUnknown):
        raise
    except (StatementError, ValueError) as error:
        raise BadRequest(str(error)) from None
    return {"changes": [str(one.statement) for one in plan], "applied": not dry_run}
