"""One request to a page of the console: the person that is signed in, the form, the response."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response

from headgate_engine import (
    ANONYMOUS,
    AuthenticationFailed,
    Database,
    NotAuthorized,
    Principal,
    SessionRejected,
    StatementError,
    User,
    UserNotFound,
)
from headgate_server.api.accounts.requests import is_id
from headgate_server.api.error_statuses import (
    ErrorStatus,
    client_message,
    error_status_for,
)
from headgate_server.app_context import AppContext
from headgate_server.auth.browser_logins import is_browser_login
from headgate_server.auth.errors import SignInAgain, Unauthenticated
from headgate_server.console.messages import Message, message_cookie, read_message
from headgate_server.console.rendering import render
from headgate_server.http.errors import (
    BadRequest,
    CrossSiteRequest,
    NotAPerson,
    OwnAccount,
)
from headgate_server.http.form import read_form
from headgate_server.http.request import Request
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import log_internal_error

T = TypeVar("T")

_MAX_FORM_BYTES = 1 << 20
# Parameters of a URL that hold a login. No address that a page shows has them.
_CREDENTIALS = ("u", "p", "auth_token")
_FAULT = "The server has a fault. Its log has the details, with this request's id."
_REFUSED = (401, 403, 404, 503)
_LOCAL_PATH = re.compile(r"/console(?:/[A-Za-z0-9_/-]*)?(?:\?[A-Za-z0-9_.~%&=+-]*)?")


class NotAllowed(Exception):
    """The page is for administrators."""

    required = "admin privilege"

    def __init__(self) -> None:
        super().__init__("this page is for administrators")


@dataclass
class Visit:
    """One request to a page. *form* has the fields of the form that was sent.

    *error* is why that form was refused: the page shows it above the form. *home* is the address of
    the page, if forms of it are sent to another; "": the same.
    """

    page: StarletteRequest
    request: Request
    context: AppContext
    principal: Principal
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    error: str = ""
    status: int = 200
    home: str = ""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the URL."""
        return self.page.query_params

    @property
    def is_admin(self) -> bool:
        """Whether the person may see and change everything."""
        return self.principal.has_full_access

    @property
    def user(self) -> User:
        """The user of the person. Raises NotAPerson while authentication is off."""
        if self.principal.user is None:
            raise NotAPerson("no user is signed in, because authentication is off")
        return self.principal.user

    def databases(self) -> list[Database]:
        """Returns the databases that SHOW DATABASES lists for the person, by name. Blocking."""
        found = sorted(self.context.store.databases(), key=lambda it: it.name)
        if self.is_admin:
            return found
        return [it for it in found if self.user.grants.get(it.name)]

    @property
    def address(self) -> str:
        """The client's address, for the audit."""
        return self.request.audit_address

    def path_id(self, name: str = "id") -> str:
        """Returns the id in the path."""
        return str(self.page.path_params[name])

    def user_of_path(self) -> User:
        """Returns the user of the id in the path. Raises UserNotFound. Blocking."""
        id = self.path_id()
        user = self.context.store.user_by_id(id) if is_id(id) else None
        if user is None:
            raise UserNotFound
        return user

    def other_user(self) -> User:
        """Returns the user in the path. Raises OwnAccount for the person that is signed in."""
        user = self.user_of_path()
        if self.principal.user is not None and self.principal.user.id == user.id:
            raise OwnAccount
        return user

    def render(self, template: str, **values: Any) -> Response:
        """Returns the page *template* with *values*. Blocking."""
        message, expired = read_message(self.page.cookies, self.principal)
        if self.error:
            message = Message(self.error, is_error=True)
        content = render(template, values | _common(self, message))
        response = Response(content, self.status, media_type="text/html")
        if expired:
            response.headers.append("set-cookie", expired)
        return response

    def link(self, **changed: object) -> str:
        """Returns the address of this page with other parameters; "" removes one."""
        parameters = {name: text for name, text in self.query.items() if name != "format"}
        parameters |= {name: str(value) for name, value in changed.items()}
        return _address(self.home or self.page.url.path, parameters)

    def redirect(self, path: str, text: str = "", statements: tuple[str, ...] = ()) -> Response:
        """Returns the redirect to *path* after a change. That page shows *text* once."""
        response = RedirectResponse(path, 303)
        if text:
            cookie = message_cookie(Message(text, statements), self.principal)
            if cookie:
                response.headers.append("set-cookie", cookie)
        return response


Show = Callable[[Visit], Response]
Change = Callable[[Visit], Response]
AsyncChange = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[StarletteRequest], Awaitable[Response]]


def page(
    show: Show,
    change: Change | None = None,
    *,
    admin: bool = False,
    change_async: AsyncChange | None = None,
    home: str = "",
) -> Endpoint:
    """Returns a Starlette endpoint: *show* answers GET, and *change* a form that was sent.

    Both run in a thread, but *change_async* in the event loop. If a form is refused, *show*
    answers with the reason in `Visit.error`. With *admin*, others than administrators get 403.
    *home* is the address of the page, if its forms are sent to another.
    """

    async def endpoint(page_request: StarletteRequest) -> Response:
        request: Request
        context: AppContext
        request, context = page_request.scope["headgate"]
        visit = await _enter(page_request, request, context)
        if isinstance(visit, Response):
            return visit
        visit.home = home
        if admin and not visit.is_admin:
            raise NotAllowed
        key = (visit.principal.name,)
        if page_request.method != "POST":
            return await context.run_in_thread(partial(show, visit), key)
        try:
            visit = await _with_form(visit, admin=admin)
        except (SessionRejected, AuthenticationFailed):
            return _to_sign_in(page_request)  # the session ended while the form arrived
        try:
            if change_async is not None:
                return await change_async(visit)
            assert change is not None
            return await context.run_in_thread(partial(change, visit), key)
        except ClientDisconnect:
            raise
        except SignInAgain:
            path = quote(visit.home or page_request.url.path, safe="")
            return RedirectResponse(f"/login?again=1&redirect={path}", 303)
        except Exception as error:
            visit = _refused(visit, error)
        return await context.run_in_thread(partial(show, visit), key)

    return with_error_page(endpoint)


def with_error_page(endpoint: Endpoint) -> Endpoint:
    """Returns *endpoint*, which answers with a page that says why if it raises an error."""

    async def guarded(page_request: StarletteRequest) -> Response:
        try:
            return await endpoint(page_request)
        except (ClientDisconnect, HTTPException):
            raise
        except Exception as error:
            return error_page(page_request, error)

    return guarded


async def _enter(
    page_request: StarletteRequest, request: Request, context: AppContext
) -> Visit | Response:
    """Returns the visit of the person that is signed in, or the redirect to the sign-in page.

    A password that the browser stores for this server is no sign-in: only a session counts.
    """
    try:
        principal = await context.authenticate(request)
    except SessionRejected:
        request.set_cookie(context.cookies.delete(request))
        return _to_sign_in(page_request, "ended")
    except (AuthenticationFailed, Unauthenticated):
        return _to_sign_in(page_request)
    if principal == ANONYMOUS or not (principal.unrestricted or is_browser_login(principal)):
        return _to_sign_in(page_request)
    if request.cross_site and request.method == "POST":
        raise CrossSiteRequest
    return Visit(page_request, request, context, principal)


def _address(path: str, parameters: Mapping[str, str]) -> str:
    """Returns *path* with those of *parameters* that have a value and are no credentials."""
    shown = {name: text for name, text in parameters.items() if text and name not in _CREDENTIALS}
    return f"{path}?{urlencode(shown, errors='surrogatepass')}" if shown else path


def _to_sign_in(page_request: StarletteRequest, notice: str = "") -> Response:
    if page_request.method == "POST":
        return RedirectResponse("/login?notice=form", 303)
    path = _address(page_request.url.path, page_request.query_params)
    notice = f"&notice={notice}" if notice else ""
    return RedirectResponse(f"/login?redirect={quote(path, safe='')}{notice}", 303)


async def _with_form(visit: Visit, *, admin: bool) -> Visit:
    """Returns *visit* with its form, and with the rights that its person has now."""
    form = await read_form(visit.request, {}, _MAX_FORM_BYTES, visit.context.run_in_thread)
    now = visit.context.engine.renew(visit.principal)
    if admin and not now.has_full_access:
        raise NotAllowed
    return replace(visit, principal=now, form=form.fields)


def _refused(visit: Visit, error: Exception) -> Visit:
    """Returns *visit* with *error* as the reason why its form was refused.

    Raises *error* if the page cannot be shown again, or if the error is unforeseen.
    """
    status = error_status_for(error)
    known = isinstance(error, StatementError | BadRequest)
    if status is None or (status.status in _REFUSED and not known):
        raise error
    visit.request.log.error = log_message(error)
    return replace(visit, error=client_message(error, status), status=status.status)


def error_page(page_request: StarletteRequest, error: Exception) -> Response:
    """Returns the page that says why the request failed. Records a denied form in the audit."""
    request: Request
    context: AppContext
    request, context = page_request.scope["headgate"]
    if page_request.method == "POST" and isinstance(error, NotAllowed | NotAuthorized):
        context.audit_writer.record_denied(
            request.log.user,
            request.audit_address,
            f"-- POST {request.raw_path.decode('latin-1')}",
            f"requires {error.required}",
        )
    found = ErrorStatus(403) if isinstance(error, NotAllowed) else error_status_for(error)
    if found is None:
        log_internal_error(error, request.log.id)
        return error_response(page_request, 500, _FAULT)
    request.log.error = log_message(error)
    return error_response(page_request, found.status, str(error))


def error_response(
    page_request: StarletteRequest, status: int, text: str, *, back: str = ""
) -> Response:
    """Returns the page of an error with the HTTP status *status*. It is short: needs no thread.

    *back* is the address of the sign-in page, if the error is of a sign-in.
    """
    request, context = page_request.scope["headgate"]
    values = {
        "title": context.settings.console_title,
        "status": status,
        "text": text,
        "request_id": request.log.id,
        "back": back,
    }
    return Response(render("error.html", values), status, media_type="text/html")


def local_path(text: str) -> str:
    """Returns *text* if it is the path of a page of the console, else the console's first page."""
    return text if _LOCAL_PATH.fullmatch(text) else "/console/"


def _common(visit: Visit, message: Message | None) -> dict[str, Any]:
    """Returns the values that every page of a signed-in person shows."""
    principal = visit.principal
    return {
        "title": visit.context.settings.console_title,
        "is_admin": visit.is_admin,
        "can_sign_out": principal.session is not None
        and not visit.context.settings.disable_signout_menu,
        "me": principal.user,
        "path": visit.page.url.path,
        "message": message,
        "link": visit.link,
        "query": visit.query,
        "form": visit.form,
    }
