"""Finds where a request may have credentials: anywhere, or in a session's cookie alone."""

from collections.abc import Sequence

from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.proxy_user import proxy_user_of
from headgate_server.config.settings import Settings
from headgate_server.http.request import Request


def credentials_of(request: Request, cookie_name: str, settings: Settings) -> RequestCredentials:
    """Returns the parts of *request* that may have credentials.

    *cookie_name* is the name of the sessions' cookie. Raises BadRequest for too many parameters.
    """
    headers = request.headers
    proxy_user = proxy_user_of(request, settings.proxy) if settings.proxy.enabled else None
    if not request.accepts_session_alone:
        name = cookie_name if request.accepts_cookie else ""
        found = RequestCredentials(request.credential_params, headers.getlist, headers.memo, name)
        found.proxy_user = proxy_user
        found.accepts_guest = request.accepts_guest
        return found

    def cookies(name: str) -> Sequence[str]:
        return headers.getlist(name) if name == "cookie" else ()

    return RequestCredentials({}, cookies, cookie_name=cookie_name, proxy_user=proxy_user)
