"""The endpoints that sign people in and out, and administrators' endpoints of sessions."""

from functools import partial
from typing import Any

from headgate_engine import (
    Principal,
    ProviderSession,
    SessionRejected,
    User,
    UserNotFound,
    session_hash,
)
from headgate_server.api.accounts.requests import (
    authenticate,
    decoded_password,
    has_body,
    json_response,
    member,
    no_content,
    page_of,
    path_id,
    read_json_object,
    read_object,
    require_admin,
    user_of_path,
)
from headgate_server.api.accounts.views import session_json, user_json
from headgate_server.app_context import AppContext
from headgate_server.auth.credentials import RequestCredentials, session_tokens
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.cross_site import is_cross_site
from headgate_server.http.errors import BadRequest, CrossSiteRequest, NotAPerson, SessionsDisabled
from headgate_server.http.form import read_form
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_MAX_NAMES = 1000
_LOCAL_HOSTS = ("127.0.0.1", "::1", "unix")


async def sign_in(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Begins a session: by `{"user", "password"}` in the body, or by the request's own login.

    Returns the session and the user, and sets the cookie.
    """
    if has_body(request):
        content = await read_json_object(
            request, ("user", "password"), required=("user", "password")
        )
        name, password = (member(content, key, str, "") for key in ("user", "password"))
        principal, origin = await login_by_password(request, context, name, password)
    else:
        origin = None
        check_origin(request, context)
        request.accepts_cookie = False  # a session is no login for another
        principal = await context.require_user(request)
        request.accepts_cookie = True
    return json_response(await begin_session(request, context, principal, origin))


async def login(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Begins a session as Pyroscope's and Grafana's `/login` do, and sets the cookie. Returns 204.

    The body is `{"username", "password"}` with the password in Base64, `{"user", "password"}` with
    the plain password, or a form with `username` and `password`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        form = await read_form(request, {}, 1 << 16, context.run_in_thread)
        name, password = form.fields.get("username", ""), form.fields.get("password", "")
    else:
        content = await read_json_object(
            request, ("username", "user", "password"), required=["password"]
        )
        if "username" in content:
            name = member(content, "username", str, "")
            password = decoded_password(content, "password")
        else:
            name, password = (member(content, key, str, "") for key in ("user", "password"))
    if context.settings.disable_login_form or context.settings.disable_login:
        raise NotAPerson("sign in by one of the providers")
    principal, origin = await login_by_password(request, context, name, password)
    await begin_session(request, context, principal, origin)
    return no_content()


async def login_by_password(
    request: Request, context: AppContext, name: str, password: str
) -> tuple[Principal, ProviderSession | None]:
    """Returns the principal of *name* with *password*, and what their session keeps.

    Raises what a login raises.
    """
    check_origin(request, context)
    if not name or not password:
        raise BadRequest("expected a user and a password")
    login = RequestCredentials({"u": name, "p": password}, lambda header: [], is_sign_in=True)
    principal = await context.authenticate_credentials(
        login, request.address, None, request.connection
    )
    request.log.set_principal(principal)
    return context.not_anonymous(principal), login.origin


def check_origin(request: Request, context: AppContext) -> None:
    """Raises CrossSiteRequest for a page of another site, and BadRequest if it is no secure one.

    A browser would not send back a cookie for HTTPS alone that came over HTTP.
    """
    if not context.cookies.name:
        raise SessionsDisabled
    # Where any origin is allowed, a foreign page still cannot sign its visitor in.
    if is_cross_site(request.headers, context.settings.trusted_origins):
        raise CrossSiteRequest("a sign-in")
    check_secure_cookie(request, context)


def check_secure_cookie(request: Request, context: AppContext) -> None:
    """Raises BadRequest if the browser would not send back the cookie of a session."""
    insecure = context.cookies.is_secure(request) and not request.is_forwarded_https
    if insecure and request.address not in _LOCAL_HOSTS:
        raise BadRequest(
            "cookie-secure is on, but this request came by HTTP:"
            " the browser would not send the cookie back"
        )


async def begin_session(
    request: Request,
    context: AppContext,
    principal: Principal,
    origin: ProviderSession | None = None,
) -> dict[str, Any]:
    """Begins a session of *principal*, and sets its cookie. Returns the session and the user.

    *origin* is what a provider says of the session, if the person came by one.
    """
    if principal.key is not None:
        raise NotAPerson("an API key is not a person")
    if principal.user is None or principal.transient or principal.transient_rights is not None:
        raise NotAPerson("this login makes no session")
    if principal.scope is not None or principal.method == "proxy":
        raise NotAPerson("this login makes no session")
    sessions, user = context.engine.sessions, principal.user
    begin = partial(
        sessions.begin,
        user,
        principal.method,
        address=request.address,
        agent=request.headers.get("user-agent", ""),
        replaces=_shown_tokens(request, context),
        ends_at=principal.expires_at,
        origin=origin,
    )
    session, token = await context.run_in_thread(begin, (user.name,))
    context.metrics.session("begun")
    ends_at = session.cookie_ends(sessions.limits)
    request.set_cookie(context.cookies.set(request, token, ends_at))
    profile = await context.run_in_thread(partial(context.engine.accounts.profile, user))
    return {
        "session": session_json(session, sessions.limits, sessions.now(), session.id),
        "user": user_json(user, profile),
    }


def _shown_tokens(request: Request, context: AppContext) -> tuple[str, ...]:
    """Returns the tokens in the session cookies of *request*."""
    name = context.cookies.name
    return session_tokens(RequestCredentials({}, request.headers.getlist, cookie_name=name))


async def show_session(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the session of the request's cookie."""
    principal = await authenticate(request, context)
    if principal.session is None:
        raise SessionRejected("invalid")
    sessions, session = context.engine.sessions, principal.session
    content = session_json(session, sessions.limits, sessions.now(), session.id)
    return json_response({"session": content})


async def sign_out(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends the session of the request's cookie, and deletes the cookie."""
    principal = await authenticate(request, context)
    if principal.session is None:
        raise SessionRejected("invalid")
    await end_session(request, context, principal)
    return no_content()


async def end_session(request: Request, context: AppContext, principal: Principal) -> None:
    """Ends the session of *principal*, and deletes its cookie."""
    request.extra_headers.clear()  # of a rotation
    end = partial(context.engine.sessions.end, principal, request.audit_address)
    await context.run_in_thread(end)
    context.metrics.session("ended")
    request.set_cookie(context.cookies.delete(request))


async def end_shown_sessions(request: Request, context: AppContext) -> None:
    """Ends the sessions of the cookies in *request*, which has another login, too."""
    sessions = context.engine.sessions
    request.extra_headers.clear()
    for token in _shown_tokens(request, context):
        try:
            known = sessions.authenticate_hash(session_hash(token)).principal
        except SessionRejected:
            continue
        await context.run_in_thread(partial(sessions.end, known, request.audit_address))
        context.metrics.session("ended")
    request.set_cookie(context.cookies.delete(request))


async def rotate_session(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Gives the session of the request's cookie a new cookie, unless that is seconds old."""
    principal = await authenticate(request, context)
    if principal.session is None:
        raise SessionRejected("invalid")
    if request.extra_headers:  # the login has replaced the cookie already
        return json_response({"rotated": True})
    sessions = context.engine.sessions
    rotate = partial(
        sessions.rotate_now,
        principal.session,
        address=request.address,
        agent=request.headers.get("user-agent", ""),
    )
    new = await context.run_in_thread(rotate, (principal.name,))
    if new:
        context.metrics.session("rotated")
        ends_at = principal.session.cookie_ends(sessions.limits)
        request.set_cookie(context.cookies.set(request, new, ends_at))
    return json_response({"rotated": bool(new)})


async def list_sessions(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the active sessions of all users, or of the user that the parameter `user` names."""
    await require_admin(request, context)
    after, limit = page_of(request)
    name = request.url_params.get("user", "")

    def read() -> dict[str, Any]:
        user = _named(context, name) if name else None
        return _page(context, user, after, limit)

    return json_response(await context.run_in_thread(read))


async def list_sessions_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the active sessions of the user in the path."""
    await require_admin(request, context)
    after, limit = page_of(request)

    def read() -> Any:
        return _page(context, user_of_path(request, context), after, limit)["sessions"]

    return json_response(await context.run_in_thread(read))


def _page(context: AppContext, user: User | None, after: str, limit: int) -> dict[str, Any]:
    sessions = context.engine.sessions
    active, now = sessions.active(user), sessions.now()
    page = [one for one in active if int(one.id) > int(after or 0)][:limit]
    return {
        "count": len(active),
        "sessions": [session_json(one, sessions.limits, now) for one in page],
    }


async def end_sessions_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends all sessions of the user in the path, and returns their number."""
    principal = await require_admin(request, context)

    def end() -> int:
        user = user_of_path(request, context)
        revoke_all = context.engine.sessions.revoke_all
        return revoke_all(principal, [user], "admin", request.audit_address)

    return json_response({"revoked": await context.run_in_thread(end)})


async def end_session_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends the session in the path, of the user in the path."""
    principal = await require_admin(request, context)

    def end() -> None:
        user, id = user_of_path(request, context), path_id(request, 1)
        context.engine.sessions.revoke(principal, user, id, "admin", request.audit_address)

    await context.run_in_thread(end)
    return no_content()


async def end_sessions(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Ends all sessions of the users in the body `{"users": [names]}`, and returns their number.

    If a name is unknown, ends none.
    """
    principal = await require_admin(request, context)
    principal, content = await read_object(
        request, context, principal, ["users"], required=["users"]
    )
    names = member(content, "users", list, [])
    if len(names) > _MAX_NAMES or not all(isinstance(name, str) for name in names):
        raise BadRequest(f"users: expected at most {_MAX_NAMES} names")

    def end() -> int:
        users = [_named(context, name) for name in names]
        revoke_all = context.engine.sessions.revoke_all
        return revoke_all(principal, users, "admin", request.audit_address)

    return json_response({"revoked": await context.run_in_thread(end)})


def _named(context: AppContext, name: str) -> User:
    user = context.engine.user(name)
    if user is None:
        raise UserNotFound
    return user
