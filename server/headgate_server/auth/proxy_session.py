"""Begins a session for a user that a proxy in front names, for paths without the proxy's header."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from headgate_engine import Engine, Principal, SessionRejected, session_hash
from headgate_server.auth.credentials import RequestCredentials, session_tokens
from headgate_server.auth.session_cookie_fields import SessionCookies
from headgate_server.http.request import Request


async def keep_session(
    request: Request,
    principal: Principal,
    engine: Engine,
    cookies: SessionCookies,
    run: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> None:
    """Sets the cookie of a session of *principal* in the response to *request*, if it has none.

    A session of another user ends: the proxy says that another person uses the browser now. *run*
    runs changes of the store in a thread.
    """
    user = principal.user
    assert user is not None
    shown = RequestCredentials({}, request.headers.getlist, cookie_name=cookies.name)
    tokens = session_tokens(shown)
    for token in tokens:
        try:
            known = engine.sessions.authenticate_hash(session_hash(token)).principal
        except SessionRejected:
            continue
        if known.user is not None and known.user.id == user.id:
            return
        await run(partial(engine.sessions.end, known, request.audit_address))
    begin = partial(
        engine.sessions.begin,
        user,
        "proxy",
        address=request.address,
        agent=request.headers.get("user-agent", ""),
        replaces=tokens,
    )
    session, token = await run(begin)
    request.set_cookie(cookies.set(request, token, session.cookie_ends(engine.sessions.limits)))
