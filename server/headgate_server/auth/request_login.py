"""Finds where a request may have credentials: anywhere, or in a session's cookie alone."""

from collections.abc import Sequence

from headgate_server.auth.credentials import RequestCredentials
from headgate_server.http.request import Request


def credentials_of(request: Request, cookie_name: str) -> RequestCredentials:
    """Returns the parts of *request* that may have credentials.

    *cookie_name* is the name of the sessions' cookie. Raises BadRequest for too many parameters.
    """
    headers = request.headers
    if not request.accepts_session_alone:
        name = cookie_name if request.accepts_cookie else ""
        return RequestCredentials(request.credential_params, headers.getlist, headers.memo, name)

    def cookies(name: str) -> Sequence[str]:
        return headers.getlist(name) if name == "cookie" else ()

    return RequestCredentials({}, cookies, cookie_name=cookie_name)
