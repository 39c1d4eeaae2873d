"""The end of a session: here, and at the provider that the person came by."""

import secrets
from functools import partial
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, RedirectResponse, Response

from headgate_engine import AuthenticationFailed, Principal, SessionRejected
from headgate_server.api.accounts.sessions import end_session, end_shown_sessions
from headgate_server.app_context import AppContext
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.oauth.errors import ProviderUnavailable
from headgate_server.console.pages.provider_sign_in import moving_page
from headgate_server.console.rendering import render
from headgate_server.http.errors import CrossSiteRequest
from headgate_server.http.request import Request

_SIGNED_OUT = "/login?signed_out=1"
_OWN_SITES = ("same-origin", "none")


async def show(page: StarletteRequest) -> Response:
    """Answers GET /logout: signs out, or asks if a page of another site led here."""
    request, context = page.scope["headgate"]
    site = request.headers.get("sec-fetch-site", "")
    if site not in _OWN_SITES:
        values = {"title": context.settings.console_title}
        return Response(render("sign_out.html", values), media_type="text/html")
    return await _signed_out(request, context, to_json=False)


async def sign_out(page: StarletteRequest) -> Response:
    """Answers POST /logout: signs out."""
    request, context = page.scope["headgate"]
    accept = request.headers.get("accept", "")
    return await _signed_out(request, context, to_json="application/json" in accept)


async def _signed_out(request: Request, context: AppContext, *, to_json: bool) -> Response:
    try:
        principal = await context.authenticate(request)
    except (SessionRejected, AuthenticationFailed, Unauthenticated):
        request.extra_headers.clear()
        request.set_cookie(context.cookies.delete(request))
        return Response(status_code=204) if to_json else RedirectResponse(_SIGNED_OUT, 303)
    if request.cross_site and request.method == "POST":
        raise CrossSiteRequest
    url = await address_after(context, principal)
    if principal.session is not None:
        await end_session(request, context, principal)
    elif context.settings.proxy.enable_login_token:
        await end_shown_sessions(request, context)
    if to_json:
        if url == _SIGNED_OUT:
            return Response(status_code=204)
        return JSONResponse({"redirect": url})
    return leading_to(context, url)


def leading_to(context: AppContext, url: str) -> Response:
    """Returns the response to a form that leads to *url*.

    A browser follows no redirect behind a form to another site: `form-action 'self'` forbids it.
    """
    if not urlsplit(url).netloc or url.startswith(context.settings.base_url.rstrip("/") + "/"):
        return RedirectResponse(url, 303)
    return moving_page(context, url)


async def address_after(context: AppContext, principal: Principal) -> str:
    """Returns the address that follows the sign-out of *principal*: often the provider's."""
    settings, session = context.settings, principal.session
    registry = context.providers
    sign_in = registry.get(session.provider) if registry is not None and session else None
    if sign_in is not None and session is not None:
        if sign_in.settings.single_logout:
            try:
                endpoint = (await sign_in.provider.endpoints()).end_session
            except ProviderUnavailable:
                endpoint = ""  # the session ends here in any case
            if endpoint:
                stored = partial(context.store.session_tokens, session.id)
                tokens = await context.run_in_thread(stored)
                hint = await context.run_in_thread(partial(sign_in.opened_id_token, tokens))
                parameters = {
                    "client_id": sign_in.settings.client_id,
                    "post_logout_redirect_uri": settings.base_url.rstrip("/") + _SIGNED_OUT,
                    "state": secrets.token_urlsafe(16),
                } | ({"id_token_hint": hint} if hint else {})
                mark = "&" if "?" in endpoint else "?"
                return f"{endpoint}{mark}{urlencode(parameters)}"
        if sign_in.settings.signout_redirect_url:
            return sign_in.settings.signout_redirect_url
    return settings.signout_redirect_url or _SIGNED_OUT
