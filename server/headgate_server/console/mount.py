"""Serves the console, a Starlette application, at /console and /login."""

from weakref import WeakKeyDictionary

from starlette.types import ASGIApp

from headgate_server.api.accounts.sessions import login, sign_out
from headgate_server.api.accounts.sign_up import sign_up
from headgate_server.api.router import Handler
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.local_paths import CONSOLE_PATHS
from headgate_server.gateway.mount import Mount
from headgate_server.http.eager_batch import enter_task
from headgate_server.http.form import FORM_MEDIA_TYPE, media_type
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse, Response, to_raw_headers
from headgate_server.http.response_body import collect

_SECURITY_HEADERS = to_raw_headers(
    {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
        " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
)
_SIGN_IN_PATHS = (b"/login/", b"/logout/", b"/signup/")
_NOT_FOUND = Response(
    b"404 page not found\n", 404, to_raw_headers({"Content-Type": "text/plain; charset=utf-8"})
)
# Made at the first page: templates are not loaded where the console is not used.
_consoles: WeakKeyDictionary[AppContext, ASGIApp] = WeakKeyDictionary()


async def serve_console(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Returns the console's response to *request*: a page, a file, or a redirect."""
    request.adds_common_headers = False
    if not _serves(request, context):
        return _NOT_FOUND
    request.accepts_session_alone = True
    await enter_task()
    if context not in _consoles:
        # Imported on demand: a server without a console needs no template engine.
        from headgate_server.console.application import console_application

        _consoles[context] = console_application()
    return await _response_of(_consoles[context], request, context)


async def sign_up_page(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Creates an account: by the form of the console's page, or by the API's JSON."""
    is_form = media_type(request.headers.get("content-type", "")) == FORM_MEDIA_TYPE
    if is_form and _serves(request, context):
        return await serve_console(request, context, encoder, mount)
    return await sign_up(request, context, encoder, mount)


async def sign_out_page(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Ends a session: by the console, or without it by the API."""
    if _serves(request, context):
        return await serve_console(request, context, encoder, mount)
    return await sign_out(request, context, encoder, mount)


async def sign_in(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Begins a session: by the form of the console's page, or by the API's JSON."""
    is_form = media_type(request.headers.get("content-type", "")) == FORM_MEDIA_TYPE
    if is_form and _serves(request, context):
        return await serve_console(request, context, encoder, mount)
    return await login(request, context, encoder, mount)


def _serves(request: Request, context: AppContext) -> bool:
    """Returns whether the console answers *request*: never below the path of an upstream store.

    The pages of sign-ins are served without the console, too, if there are providers or sign-ups.
    """
    path = request.raw_path + b"/"
    settings = context.settings
    if path.startswith(_SIGN_IN_PATHS) and settings.needs_sign_in_pages():
        return True
    return path.startswith((b"/console/", *_SIGN_IN_PATHS)) and settings.serves_console()


CONSOLE_ROUTES: dict[str, dict[str, Handler]] = {
    **{path: dict.fromkeys(("GET", "HEAD", "POST"), serve_console) for path in CONSOLE_PATHS},
    "/login": {"GET": serve_console, "HEAD": serve_console, "POST": sign_in},
    "/logout": {"GET": serve_console, "HEAD": serve_console, "POST": sign_out_page},
    "/signup": {"GET": serve_console, "HEAD": serve_console, "POST": sign_up_page},
}


async def _response_of(app: ASGIApp, request: Request, context: AppContext) -> Response:
    """Returns the response of *app* to *request*, with the header fields of all pages."""
    scope = {**request.scope, "headgate": (request, context), "root_path": ""}
    scope["path"] = request.raw_path.decode("latin-1")
    status, headers, body = await collect(app, scope, request.receive)
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    cookies = [field for field in request.extra_headers if field[0] == b"set-cookie"]
    return Response(body, status, [*headers, *_SECURITY_HEADERS, *cookies])
