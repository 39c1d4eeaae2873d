"""The endpoints of one's own account, for people that are signed in."""

from dataclasses import replace
from functools import partial
from typing import Any

from headgate_engine import Profile
from headgate_server.api.accounts.identities import identity_json
from headgate_server.api.accounts.requests import (
    json_response,
    member,
    no_content,
    path_id,
    read_object,
    require_person,
)
from headgate_server.api.accounts.views import session_json, user_json
from headgate_server.app_context import AppContext
from headgate_server.auth.recent_login import check_recent_login
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response


async def show_own_account(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the caller's user with the profile and the identities."""
    _, user = await require_person(request, context)

    def read() -> dict[str, Any]:
        engine = context.engine
        linked = [identity_json(context, it) for it in engine.identities.of_user(user)]
        return user_json(user, engine.accounts.profile(user)) | {"identities": linked}

    return json_response(await context.run_in_thread(read))


async def change_own_account(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Changes the caller's e-mail address, which is unverified then, and full name."""
    principal, user = await require_person(request, context)
    principal, content = await read_object(
        request, context, principal, ("email", "fullName", "name")
    )
    if "email" in content:
        check_recent_login(principal, context.engine.sessions.now())
    if "name" in content:
        raise BadRequest("user names cannot be changed")

    def changed(profile: Profile) -> Profile:
        email = member(content, "email", str, profile.email)
        return replace(
            profile,
            email=email,
            email_verified=profile.email_verified and email == profile.email,
            full_name=member(content, "fullName", str, profile.full_name),
        )

    accounts = context.engine.accounts
    change = partial(accounts.change_profile, principal, user, changed, request.audit_address)
    await context.run_in_thread(change)
    profile = await context.run_in_thread(partial(accounts.profile, user))
    return json_response(user_json(user, profile))


async def list_own_sessions(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the caller's active sessions, in order of creation."""
    principal, user = await require_person(request, context)
    sessions = context.engine.sessions
    active = await context.run_in_thread(partial(sessions.active, user))
    current = principal.session.id if principal.session is not None else ""
    now = sessions.now()
    return json_response([session_json(it, sessions.limits, now, current) for it in active])


async def end_other_own_sessions(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends the caller's sessions but the current one, and returns their number."""
    principal, user = await require_person(request, context)
    current = principal.session.id if principal.session is not None else ""
    revoke = partial(
        context.engine.sessions.revoke_all,
        principal,
        [user],
        "user",
        request.audit_address,
        keep=current,
    )
    return json_response({"revoked": await context.run_in_thread(revoke)})


async def end_own_session(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends the caller's session in the path, which is not the current one."""
    principal, user = await require_person(request, context)
    id = path_id(request)
    if principal.session is not None and principal.session.id == id:
        raise BadRequest("the session in use is ended by signing out")
    revoke = partial(
        context.engine.sessions.revoke, principal, user, id, "user", request.audit_address
    )
    await context.run_in_thread(revoke)
    return no_content()
