"""The endpoint /api/user/password: a user changes their own password, with the old one."""

from base64 import b64decode
from dataclasses import replace
from functools import partial

from headgate_engine import NO_PASSWORD, AuthenticationFailed, Principal, is_key_text
from headgate_server.api.accounts.requests import require_person, still_valid
from headgate_server.app_context import AppContext
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import Unauthenticated
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.json_body import read_json
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_MEMBERS = ("oldPassword", "newPassword")


async def change_own_password(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Sets the password of the authenticated user. Returns 204.

    The body is `{"oldPassword", "newPassword"}`, each as Base64 of UTF-8. A wrong old password
    counts as a failed login. Raises what a login raises; BadRequest for a wrong old password or an
    invalid body; NotAPerson, BadPassword, CrossSiteRequest, TooLarge, StoreUnavailable,
    OutcomeUnknown.
    """
    principal, user = await require_person(request, context)
    if user.hash == NO_PASSWORD:
        raise BadRequest("this user has no password to change")
    old, new = await _read_passwords(request)
    principal = still_valid(request, context, principal)
    await replace_own_password(request, context, principal, old, new)
    return Response(status_code=204)


async def replace_own_password(
    request: Request, context: AppContext, principal: Principal, old: str, new: str
) -> None:
    """Sets the password of *principal*. *old* must be the current one.

    Raises BadRequest for a wrong old password, which counts as a failed login; BadPassword,
    StoreUnavailable, OutcomeUnknown.
    """
    if is_key_text(old):
        raise BadRequest("invalid password")
    if not new:
        raise BadRequest("the new password is empty")
    # In the URL's parameters, because a name in Basic may not contain a colon.
    login = RequestCredentials({"u": principal.name, "p": old}, lambda header: [])
    try:
        verified = await context.authenticate_credentials(
            login, request.address, None, request.connection
        )
        verified = replace(verified, session=principal.session)  # the session goes on
        change = partial(context.engine.change_password, verified, new, request.audit_address)
        await context.run_in_thread(change, (principal.name,))
    except (AuthenticationFailed, Unauthenticated):
        raise BadRequest("invalid password") from None


async def _read_passwords(request: Request) -> tuple[str, str]:
    """Returns the old and the new password in the body of *request*."""
    content = await read_json(request)
    try:
        if not isinstance(content, dict) or set(content) != set(_MEMBERS):
            raise ValueError
        old, new = (b64decode(content[member], validate=True).decode() for member in _MEMBERS)
    except (ValueError, TypeError):
        raise BadRequest(
            'expected {"oldPassword": "...", "newPassword": "..."}, each Base64 of UTF-8'
        ) from None
    return old, new
