"""The way to a provider and back: /login/NAME, its callback, and links to more identities."""

from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response

from headgate_engine import (
    AuthenticationFailed,
    Principal,
    SessionRejected,
    StatementError,
)
from headgate_server.api.accounts.sessions import begin_session, check_secure_cookie
from headgate_server.app_context import AppContext
from headgate_server.auth.credentials import RequestCredentials, session_tokens
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.errors import AccessRefused, NotBegunHere, SignInRefused
from headgate_server.auth.oauth.login_flow import FLOW_SECONDS, LoginFlow, cookie_name
from headgate_server.auth.oauth.provider import Tokens
from headgate_server.auth.oauth.registry import ProviderRegistry
from headgate_server.auth.oauth.sign_in import ProviderSignIn
from headgate_server.auth.recent_login import is_recent_login
from headgate_server.auth.terminal_code import Terminal, terminal_of
from headgate_server.console.pages import terminal_sign_in
from headgate_server.console.rendering import render
from headgate_server.console.visit import error_response, local_path
from headgate_server.http.cross_site import is_cross_site
from headgate_server.http.request import Request
from headgate_server.telemetry.log_message import log_message

_ACCOUNT_PAGE = "/console/account"
_SIGN_IN_PAGE = "/login?disableAutoLogin"
_NO_USERS = "create admin user first or disable authentication"


async def start(page: StarletteRequest) -> Response:
    """Answers GET /login/NAME: leads to the provider, or finishes a sign-in if it has a state.

    With the parameter `link`, the identity is linked to the person that is signed in; with `again`,
    the person proves their identity once more.
    """
    if "state" in page.query_params:
        return await callback(page)
    request, context, registry, sign_in = _parts(page)
    name = sign_in.settings.name
    redirect = local_path(page.query_params.get("redirect", ""))
    purpose = next((it for it in ("link", "again") if it in page.query_params), "login")
    session_id = ""
    try:
        if context.store.empty():
            raise SignInRefused(403, _NO_USERS)
        check_secure_cookie(request, context)
        if purpose != "login":
            principal = await _signed_in(request, context)
            if principal is None:
                return RedirectResponse(f"/login?redirect={_ACCOUNT_PAGE}", 303)
            assert principal.session is not None
            session_id = principal.session.id
            if purpose == "link" and is_cross_site(
                request.headers, context.settings.trusted_origins
            ):
                # Else another site could link an account of its own to the person signed in here.
                raise AccessRefused("link: begun by another site", "link it on your account page")
            if purpose == "link" and not is_recent_login(principal, context.engine.sessions.now()):
                return RedirectResponse(f"/login?again=1&redirect={_ACCOUNT_PAGE}", 303)
        if purpose == "link":
            flow, url = await registry.begin(sign_in, _ACCOUNT_PAGE, "link", session_id)
        elif purpose == "again":
            flow, url = await registry.begin(sign_in, redirect, "again", session_id)
        else:
            flow, url = await registry.begin(sign_in, redirect)
            if (terminal := terminal_of(page.query_params)) is not None:
                flow = replace(flow, terminal=terminal.query)
        sealed = await context.run_in_thread(partial(flow.sealed, registry.sealer))
    except SignInRefused as error:
        context.metrics.sign_in.oauth(name, "start", "refused")
        return _refused(page, error)
    context.metrics.sign_in.oauth(name, "start", "begun")
    response = RedirectResponse(url, 302)
    for old in registry.superfluous(page.cookies):
        _set_cookie(response, request, context, old, "", 0)
    _set_cookie(response, request, context, flow.cookie_name, sealed, FLOW_SECONDS)
    return response


async def callback(page: StarletteRequest) -> Response:
    """Answers GET /login/NAME/callback: begins a session, or links the identity."""
    request, context, registry, sign_in = _parts(page)
    name, states = sign_in.settings.name, page.query_params.getlist("state")
    parameters = {key: page.query_params.getlist(key) for key in page.query_params}
    question: Response | None = None
    flow: LoginFlow | None = None
    try:
        if len(states) != 1:
            raise NotBegunHere("callback: not one state")
        shown = RequestCredentials({}, request.headers.getlist, cookie_name=cookie_name(states[0]))
        find = partial(registry.flow_of_callback, name, states[0], session_tokens(shown))
        flow = await context.run_in_thread(find)
        account, tokens = await sign_in.account_of_callback(parameters, flow)
        if flow.purpose == "link":
            await _link(request, context, sign_in, account, flow)
        elif (terminal := terminal_of(dict(parse_qsl(flow.terminal)))) is not None:
            question = await _ask(page, sign_in, account, tokens, terminal)
        else:
            await _begin(request, context, sign_in, account, tokens, flow)
    except SignInRefused as error:
        context.metrics.sign_in.oauth(name, "callback", "refused")
        context.audit_writer.record_denied(
            "", request.audit_address, f"-- login (oauth {name})", error.reason or str(error)
        )
        is_link = flow is not None and flow.purpose == "link"
        response = _refused(page, error, _ACCOUNT_PAGE if is_link else _SIGN_IN_PAGE)
    else:
        context.metrics.sign_in.oauth(name, "callback", "accepted")
        response = question or _moved_on(context, flow.redirect)
    for state in states[:1]:
        if cookie_name(state) in page.cookies:
            _set_cookie(response, request, context, cookie_name(state), "", 0)
    return response


async def _begin(
    request: Request,
    context: AppContext,
    sign_in: ProviderSignIn,
    account: ProviderAccount,
    tokens: Tokens,
    flow: LoginFlow,
) -> None:
    """Begins a session of the user that *account* is. Raises SignInRefused."""
    if flow.purpose == "again":
        await _check_same_user(context, sign_in, account, flow)
    signed_in = await sign_in.sign_in(account, tokens, request.audit_address)
    try:
        await begin_session(request, context, signed_in.principal, signed_in.origin)
    except AuthenticationFailed:
        raise AccessRefused("the user was dropped or disabled meanwhile") from None
    if flow.purpose == "again":
        await _end_replaced(request, context, flow)
    request.log.set_principal(signed_in.principal)


async def _ask(
    page: StarletteRequest,
    sign_in: ProviderSignIn,
    account: ProviderAccount,
    tokens: Tokens,
    terminal: Terminal,
) -> Response:
    """Asks whether to sign *terminal* in as the user that *account* is. Raises SignInRefused."""
    request, context, _, _ = _parts(page)
    signed_in = await sign_in.sign_in(account, tokens, request.audit_address)
    origin = replace(signed_in.origin, auth_at=context.engine.sessions.now())
    request.log.set_principal(signed_in.principal)
    return await terminal_sign_in.ask(page, terminal, signed_in.principal, origin)


async def _check_same_user(
    context: AppContext, sign_in: ProviderSignIn, account: ProviderAccount, flow: LoginFlow
) -> None:
    """Raises AccessRefused unless *account* is of the user whose session began *flow*.

    It runs before the sign-in, which may create a user.
    """
    identity = sign_in.identity(account)

    def is_same() -> bool:
        session = context.engine.sessions.by_id(flow.session_id)
        user = context.store.user_by_identity(identity.issuer, identity.subject)
        return session is not None and user is not None and session.user_id == user.id

    if not await context.run_in_thread(is_same):
        raise AccessRefused("sign-in again: another user", "this account is of another user")


async def _end_replaced(request: Request, context: AppContext, flow: LoginFlow) -> None:
    """Ends the session that began *flow*, unless the new session has replaced it already.

    A browser does not send its strict cookie with the callback, so it was not replaced.
    """
    sessions = context.engine.sessions

    def end() -> None:
        old = sessions.by_id(flow.session_id)
        user = context.store.user_by_id(old.user_id) if old is not None else None
        if user is not None:
            sessions.end(Principal(user, "session", session=old), request.audit_address)

    await context.run_in_thread(end)


async def _link(
    request: Request,
    context: AppContext,
    sign_in: ProviderSignIn,
    account: ProviderAccount,
    flow: LoginFlow,
) -> None:
    """Links the identity of *account* to the person that began *flow*. Raises SignInRefused."""
    engine = context.engine
    session = await context.run_in_thread(partial(engine.sessions.by_id, flow.session_id))
    if session is None or session.refusal(engine.sessions.limits, engine.sessions.now()):
        raise AccessRefused("link: the session has ended", "your session has ended, sign in again")
    shown = await _signed_in(request, context)
    # A browser sends no strict cookie to the callback: then the cookie of the flow has to do.
    is_sent = shown is not None or context.settings.cookie_samesite != "strict"
    if is_sent and (shown is None or shown.session is None or shown.session.id != session.id):
        raise AccessRefused("link: another session", "another person is signed in here")
    user = await context.run_in_thread(partial(context.store.user_by_id, session.user_id))
    if user is None or not user.is_active:
        raise AccessRefused("link: the user was dropped or disabled")
    identity = sign_in.identity(account)
    link = partial(
        engine.identities.link,
        Principal(user, "session", session=session),
        user,
        identity.issuer,
        identity.subject,
        request.audit_address,
    )
    try:
        await context.run_in_thread(link)
    except (StatementError, AuthenticationFailed) as error:
        raise SignInRefused(409, str(error), "link") from None


async def _signed_in(request: Request, context: AppContext) -> Principal | None:
    """Returns the principal of the session's cookie, or None."""
    try:
        principal = await context.authenticate(request)
    except (SessionRejected, AuthenticationFailed, Unauthenticated):
        return None
    return principal if principal.session is not None else None


def _parts(
    page: StarletteRequest,
) -> tuple[Request, AppContext, ProviderRegistry, ProviderSignIn]:
    """Returns the request, the context, the providers, and the provider in the path."""
    request, context = page.scope["headgate"]
    registry = context.providers
    sign_in = registry.get(page.path_params["name"]) if registry is not None else None
    if registry is None or sign_in is None or not context.settings.auth_enabled:
        raise HTTPException(404)
    return request, context, registry, sign_in


def _refused(page: StarletteRequest, error: SignInRefused, back: str = _SIGN_IN_PAGE) -> Response:
    """Returns the page with the sentence of *error* and a link to the page *back*.

    It never leads on by itself.
    """
    request, _ = page.scope["headgate"]
    request.log.error = log_message(error)
    sentence = str(error)
    shown = f"{sentence[:1].upper()}{sentence[1:]}."
    return error_response(page, error.status, shown, back=back)


def _moved_on(context: AppContext, path: str) -> Response:
    """Returns the response that leads to *path*, a page of ours.

    A browser does not send a strict cookie to where a redirect of another site leads.
    """
    if context.settings.cookie_samesite != "strict":
        return RedirectResponse(path, 303)
    return moving_page(context, path)


def moving_page(context: AppContext, url: str) -> Response:
    """Returns a page that leads to *url* by itself, also to another site after a form."""
    values: dict[str, Any] = {"title": context.settings.console_title, "url": url}
    return Response(render("moving.html", values), media_type="text/html")


def _set_cookie(
    response: Response, request: Request, context: AppContext, name: str, value: str, age: int
) -> None:
    secure = "; Secure" if context.cookies.is_secure(request) else ""
    field = f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
    response.headers.append("set-cookie", field)
