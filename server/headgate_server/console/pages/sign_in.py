"""The page at /login, and the end of a session."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response

from headgate_engine import AuthenticationFailed
from headgate_server.api.accounts.sessions import begin_session, end_session, login_by_password
from headgate_server.api.error_statuses import error_status_for
from headgate_server.auth.browser_logins import is_browser_login
from headgate_server.auth.errors import TooManyFailures, Unauthenticated
from headgate_server.auth.terminal_code import terminal_of
from headgate_server.console.before_sign_in import show_before_sign_in
from headgate_server.console.pages import terminal_sign_in
from headgate_server.console.pages.sign_out import address_after, leading_to
from headgate_server.console.visit import Visit, local_path
from headgate_server.http.form import read_form
from headgate_server.telemetry.log_message import log_message

_MAX_FORM_BYTES = 1 << 14
_NOTICES = {
    "out": "You have signed out.",
    "form": "Your session has ended, so the form was not sent. Sign in and send it again.",
    "created": "Your account is ready. Sign in.",
    "pending": "Your account waits for an administrator. You can sign in once it is approved.",
    "ended": "Your session has ended. Sign in again.",
}
_WRONG = "Wrong user name or password."


async def show(page: StarletteRequest) -> Response:
    """Answers GET: the form, or how to create the first administrator."""
    request, context = page.scope["headgate"]
    notice = _NOTICES.get(page.query_params.get("notice", ""), "")
    if "signed_out" in page.query_params:
        notice = _NOTICES["out"]
    terminal = terminal_sign_in.terminal_in(page)
    if terminal is not None and (question := await terminal_sign_in.offer(page, terminal)):
        return question
    redirect = local_path(page.query_params.get("redirect", ""))
    stays = notice or not page.query_params.keys().isdisjoint(("again", "error"))
    leads_on = context.settings.serves_console() and terminal is None and not stays
    if leads_on and await _is_signed_in(page):
        return RedirectResponse(redirect, 303)
    if provider := _auto_login(page, notice):
        more = f"&{terminal.query}" if terminal is not None else ""
        return RedirectResponse(f"/login/{provider}?redirect={quote(redirect, safe='')}{more}", 302)
    if "again" in page.query_params:
        notice = "Sign in again: this change needs a login of the last 15 minutes."
    if page.query_params.get("redirect") and not notice:
        notice = "Sign in to see this page."
    return await _form(page, notice=notice)


async def _is_signed_in(page: StarletteRequest) -> bool:
    """Returns whether the person needs no sign-in: by a session, a proxy, or without logins."""
    request, context = page.scope["headgate"]
    try:
        principal = await context.authenticate(request)
    except Exception as error:
        if error_status_for(error) is None:
            raise
        return False  # the person can sign in anew
    return principal.unrestricted or is_browser_login(principal)


def _auto_login(page: StarletteRequest, notice: str) -> str:
    """Returns the provider that the page leads to at once, or "".

    A person that has signed out, or whose sign-in failed, stays here: else they could not leave.
    """
    _, context = page.scope["headgate"]
    query = page.query_params
    is_off = query.get("disableAutoLogin", "false").lower() != "false"
    if context.providers is None or is_off or notice or "error" in query or "again" in query:
        return ""
    return "" if context.store.empty() else str(context.providers.auto_login)


async def sign_in(page: StarletteRequest) -> Response:
    """Answers POST: begins a session and redirects to the page that asked for it."""
    request, context = page.scope["headgate"]
    form = (await read_form(request, {}, _MAX_FORM_BYTES, context.run_in_thread)).fields
    if "grant" in form:
        return await terminal_sign_in.confirm(page, form["grant"])
    if not context.settings.offers_login_form():
        return await _form(page, 403, error="Sign in by one of the providers.", form=form)
    name, password = form.get("username", ""), form.get("password", "")
    terminal = terminal_of(form) if context.providers is not None else None
    try:
        if terminal is not None:
            return await terminal_sign_in.sign_in(page, terminal, name, password)
        principal, origin = await login_by_password(request, context, name, password)
        await begin_session(request, context, principal, origin)
    except (AuthenticationFailed, Unauthenticated) as error:
        request.log.error = log_message(error)
        return await _form(page, 401, error=_WRONG, form=form)
    except Exception as error:
        status = error_status_for(error)
        if status is None:
            raise
        request.log.error = log_message(error)
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        if isinstance(error, TooManyFailures):
            text = f"Too many wrong passwords. Try again in {error.seconds} seconds."
        return await _form(page, status.status, error=text, form=form)
    return RedirectResponse(local_path(form.get("redirect", "")), 303)


async def _form(
    page: StarletteRequest,
    status: int = 200,
    *,
    notice: str = "",
    error: str = "",
    form: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    _, context = page.scope["headgate"]
    values = {
        "notice": notice,
        "error": error,
        "name": form.get("username", ""),
        "offers_sign_up": context.settings.signup_enabled,
        "offers_form": context.settings.offers_login_form(),
        "providers": [it for it in context.settings.oauth if it.enabled],
        "terminal": terminal_of(form) or terminal_sign_in.terminal_in(page),
        "is_again": "again" in page.query_params or "again" in form,
        "redirect": local_path(form.get("redirect") or page.query_params.get("redirect", "")),
    }
    return await show_before_sign_in(page, "sign_in.html", values, status)


async def end(visit: Visit) -> Response:
    """Ends the session, and leads to the sign-in page or to the provider of the session."""
    url = await address_after(visit.context, visit.principal)
    if visit.principal.session is not None:
        await end_session(visit.request, visit.context, visit.principal)
    return leading_to(visit.context, url)
