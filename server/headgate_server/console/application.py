"""The console as a Starlette application: its routes and its pages of errors."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from headgate_server.console.pages import (
    access,
    account,
    audit,
    backchannel_logout,
    databases,
    keys,
    provider_sign_in,
    sessions,
    sign_in,
    sign_out,
    sign_up,
    user,
    users,
)
from headgate_server.console.rendering import STATIC_FOLDER, static_version
from headgate_server.console.visit import (
    AsyncChange,
    Endpoint,
    Show,
    error_response,
    page,
    with_error_page,
)

_BOTH = ["GET", "POST"]
_ERRORS = {
    404: "There is no such page.",
    405: "This address does not take such a request.",
}


class _StaticFiles(StaticFiles):
    """The static files. An address with the hash of the content may be cached for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if scope["query_string"] == f"v={static_version(path)}".encode():
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _page_of(show: Show, change: AsyncChange) -> Endpoint:
    return page(show, change_async=change, admin=True)


async def _to_first_page(request: StarletteRequest) -> Response:
    return RedirectResponse("/console/", 308)


async def _http_error(request: StarletteRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = _ERRORS.get(error.status_code, error.detail)
    return error_response(request, error.status_code, text)


def console_application() -> Starlette:
    """Returns the console. Each request's scope has `headgate`: our request and the context."""
    pages = [
        Route("/", page(access.show)),
        Route("/databases", _page_of(databases.show_list, databases.create), methods=_BOTH),
        Route("/databases/{id}", _page_of(databases.show, databases.change), methods=_BOTH),
        Route("/users", page(users.show_list, admin=True)),
        Route("/users/new", page(users.show_new, users.create, admin=True), methods=_BOTH),
        Route("/users/{id}", page(user.show, admin=True)),
        *(
            Route(f"/users/{{id}}/{name}", page(user.show, change, admin=True), methods=_BOTH)
            for name, change in {
                "rights": user.change_rights,
                "profile": user.change_profile,
                "password": user.set_password,
                "sessions": user.end_sessions,
                "status": user.set_status,
                "identities": user.unlink,
                "drop": user.drop,
            }.items()
        ),
        Route("/keys", page(keys.show_list)),
        Route("/keys/new", page(keys.show_new, keys.create), methods=_BOTH),
        Route("/keys/{id}", page(keys.show_list, keys.change, home=keys.LIST), methods=["POST"]),
        Route("/sessions", page(sessions.show, sessions.change), methods=_BOTH),
        Route("/audit", page(audit.show, admin=True)),
        Route("/account", page(account.show, account.change_profile), methods=_BOTH),
        Route(
            "/account/password",
            page(account.show, change_async=account.change_password),
            methods=_BOTH,
        ),
        Route(
            "/account/identities",
            page(account.show, account.unlink, home="/console/account"),
            methods=["POST"],
        ),
        Route("/sign-out", page(account.show, change_async=sign_in.end), methods=["POST"]),
        Mount("/static", _StaticFiles(directory=STATIC_FOLDER)),
    ]
    application = Starlette(
        routes=[
            Route("/login", with_error_page(sign_in.show)),
            Route("/login", with_error_page(sign_in.sign_in), methods=["POST"]),
            Route("/signup", with_error_page(sign_up.show)),
            Route("/signup", with_error_page(sign_up.create), methods=["POST"]),
            Route("/logout", with_error_page(sign_out.show)),
            Route("/logout", with_error_page(sign_out.sign_out), methods=["POST"]),
            Route("/login/{name}", with_error_page(provider_sign_in.start)),
            Route("/login/{name}/callback", with_error_page(provider_sign_in.callback)),
            Route(
                "/login/{name}/backchannel-logout",
                with_error_page(backchannel_logout.end_sessions),
                methods=["POST"],
            ),
            Route("/console", _to_first_page),
            Mount("/console", app=Router(pages, redirect_slashes=False)),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    application.router.redirect_slashes = False  # paths are exact, as everywhere
    return application
