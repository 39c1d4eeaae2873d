"""The page of sessions: the person's own, or for administrators those of all users."""

from starlette.responses import Response

from headgate_engine import Session, SessionNotFound, User, UserNotFound
from headgate_server.api.accounts.requests import is_id
from headgate_server.console.visit import Visit
from headgate_server.http.errors import BadRequest

_SCAN_PAGE, _MAX_SCANNED = 500, 20_000


def show(visit: Visit) -> Response:
    """Shows active sessions, the oldest first."""
    size = visit.context.settings.console_page_size
    owner = _owner(visit)
    found, next_after = _active(visit, owner, size)
    return visit.render(
        "sessions.html",
        sessions=found,
        owner=owner,
        next_after=next_after,
        current=_current(visit),
        has_others=_has_others(visit),
        limits=visit.context.engine.sessions.limits,
    )


def _owner(visit: Visit) -> User | None:
    """Returns the user of the sessions on the page; None for those of all users."""
    name = visit.query.get("user", "")
    if not visit.is_admin:
        return visit.user
    if not name:
        return None
    user = visit.context.engine.user(name)
    if user is None:
        raise UserNotFound
    return user


def _active(visit: Visit, owner: User | None, size: int) -> tuple[list[Session], str]:
    """Returns the active sessions of the page, and the id after which the next page starts."""
    sessions, after = visit.context.engine.sessions, visit.query.get("after", "")
    after = after if is_id(after) else ""
    now, found = sessions.now(), list[Session]()
    for _ in range(_MAX_SCANNED // _SCAN_PAGE):
        page = visit.context.store.sessions(
            after, _SCAN_PAGE, user_id=owner.id if owner is not None else ""
        )
        for session in page:
            if session.refusal(sessions.limits, now) is None:
                if len(found) == size:
                    return found, found[-1].id
                found.append(session)
        if len(page) < _SCAN_PAGE:
            return found, ""
        after = page[-1].id
    return found, after


def _has_others(visit: Visit) -> bool:
    """Returns whether the person has other sessions than the one in use."""
    user = visit.principal.user
    return user is not None and len(visit.context.engine.sessions.active(user)) > 1


def _current(visit: Visit) -> str:
    return visit.principal.session.id if visit.principal.session is not None else ""


def change(visit: Visit) -> Response:
    """Ends one session, or all of the person's but the one in use."""
    sessions, form = visit.context.engine.sessions, visit.form
    if form.get("action") == "others":
        ended = sessions.revoke_all(
            visit.principal, [visit.user], "user", visit.address, keep=_current(visit)
        )
        return visit.redirect("/console/sessions", f"Sessions ended: {ended}.")
    if form.get("id", "") == _current(visit):
        raise BadRequest("This is the session in use: sign out to end it.")
    owner = visit.context.store.user_by_id(form["user"]) if is_id(form.get("user", "")) else None
    mine = visit.principal.user is not None and owner is not None and owner.id == visit.user.id
    if owner is None or not (visit.is_admin or mine):
        raise SessionNotFound
    sessions.revoke(
        visit.principal,
        owner,
        form.get("id", ""),
        "user" if mine else "admin",
        visit.address,
    )
    return visit.redirect(visit.link(), "Session ended.")
