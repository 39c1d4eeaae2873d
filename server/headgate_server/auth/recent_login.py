"""Requires that a person has signed in a short time ago, for changes of how they sign in."""

from headgate_engine import Principal
from headgate_server.auth.errors import SignInAgain

RECENT_SECONDS = 15 * 60


def is_recent_login(principal: Principal, now: int) -> bool:
    """Returns whether the person signed in at most 15 minutes before *now*, in Unix seconds.

    A login that is no session has just been verified.
    """
    session = principal.session
    if session is None:
        return True
    return now - (session.auth_at or session.created_at) <= RECENT_SECONDS


def check_recent_login(principal: Principal, now: int) -> None:
    """Raises SignInAgain unless `is_recent_login`."""
    if not is_recent_login(principal, now):
        raise SignInAgain
