"""The end of a sign-in by a browser for a terminal: the question, and the way to the terminal.

A page of another site can lead a browser to a sign-in that asks for nothing. So a person that has
not just typed a password confirms the sign-in of the terminal by a form.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response

from headgate_engine import (
    AuthenticationFailed,
    Principal,
    ProviderSession,
    SessionRejected,
)
from headgate_server.api.accounts.sessions import check_origin, login_by_password
from headgate_server.app_context import AppContext
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.oauth.errors import AccessRefused
from headgate_server.auth.terminal_code import (
    Terminal,
    TerminalGrant,
    grant_of,
    opened_grant,
    terminal_of,
)
from headgate_server.console.rendering import render
from headgate_server.http.errors import NotAPerson
from headgate_server.http.request import Request


def terminal_in(page: StarletteRequest) -> Terminal | None:
    """Returns the terminal that the URL of *page* names.

    None without a valid one, while no provider is configured, and while there are no users.
    """
    _, context = page.scope["headgate"]
    if context.providers is None or not context.settings.auth_enabled or context.store.empty():
        return None
    return terminal_of(page.query_params)


async def offer(page: StarletteRequest, terminal: Terminal) -> Response | None:
    """Returns the question for the person that is signed in, or None if no one is.

    A session whose access its provider has to confirm can be no source of another one: then the
    response leads to this provider.
    """
    request, context = page.scope["headgate"]
    try:
        principal = await context.authenticate(request)
    except (SessionRejected, AuthenticationFailed, Unauthenticated):
        return None
    session = principal.session
    if session is None or principal.user is None:
        return None
    if session.access_expires_at:
        if context.providers.get(session.provider) is None:
            return None
        return RedirectResponse(f"/login/{session.provider}?{terminal.query}", 302)
    origin = ProviderSession(
        session.provider, session.sid, auth_at=session.auth_at or session.created_at
    )
    source = Principal(principal.user, session.method, expires_at=session.ends_at)
    return await ask(page, terminal, source, origin)


async def ask(
    page: StarletteRequest, terminal: Terminal, principal: Principal, origin: ProviderSession
) -> Response:
    """Returns the page that asks whether to sign *terminal* in as *principal*."""
    _, context = page.scope["headgate"]
    grant = grant_of(terminal, principal, origin)
    seal = partial(grant.sealed, "terminal grant", context.providers.sealer)
    values: dict[str, Any] = {
        "title": context.settings.console_title,
        "host": page.headers.get("host", ""),
        "name": principal.name,
        "grant": await context.run_in_thread(seal),
    }
    return Response(render("terminal.html", values), media_type="text/html")


async def confirm(page: StarletteRequest, sealed: str) -> Response:
    """Answers the form of the question: leads to the terminal. Raises AccessRefused."""
    request: Request
    context: AppContext
    request, context = page.scope["headgate"]
    check_origin(request, context)
    grant = None
    if context.providers is not None:
        opened = partial(opened_grant, sealed, "terminal grant", context.providers.sealer)
        grant = await context.run_in_thread(opened)
    if grant is None:
        raise AccessRefused("terminal: grant", "this sign-in was not begun here, or too long ago")
    return await _lead(context, grant)


async def sign_in(page: StarletteRequest, terminal: Terminal, name: str, password: str) -> Response:
    """Leads to *terminal* after a login by *name* and *password*. Raises what a login raises."""
    request, context = page.scope["headgate"]
    principal, origin = await login_by_password(request, context, name, password)
    if principal.key is not None or principal.user is None or principal.transient:
        raise NotAPerson("this login makes no session")
    if principal.transient_rights is not None:
        raise NotAPerson("this login makes no session")
    now = context.engine.sessions.now()
    origin = replace(origin or ProviderSession(), auth_at=now)
    return await _lead(context, grant_of(terminal, principal, origin))


async def _lead(context: AppContext, grant: TerminalGrant) -> Response:
    """Returns the page that brings a code to the terminal of *grant*.

    A redirect would not do: `form-action 'self'` forbids it behind a form.
    """
    assert context.providers is not None
    sealer = context.providers.sealer
    code = await context.run_in_thread(partial(grant.sealed, "terminal code", sealer))
    values = {"title": context.settings.console_title, "url": grant.terminal.url(code)}
    return Response(render("moving.html", values), media_type="text/html")
