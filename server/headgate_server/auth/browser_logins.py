"""Logins that a browser sends by itself, and the changes that they may not make.

A page of another site, or a link on it, can make the browser send a request with such a login.
"""

from headgate_engine import Principal
from headgate_server.http.errors import ChangeByGet, CrossSiteRequest

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def is_browser_login(principal: Principal) -> bool:
    """Returns whether *principal* logged in by a session's cookie, or by a proxy's header."""
    return principal.session is not None or principal.method == "proxy"


def check_change(principal: Principal, method: str, *, cross_site: bool) -> None:
    """Checks a request of *principal* with the HTTP method *method* that changes something.

    *cross_site* is whether a page of another site made the browser send it. Raises
    CrossSiteRequest if it did, and ChangeByGet for a browser's login and a GET or HEAD.
    """
    if cross_site:
        raise CrossSiteRequest
    if is_browser_login(principal) and method in SAFE_METHODS:
        raise ChangeByGet
