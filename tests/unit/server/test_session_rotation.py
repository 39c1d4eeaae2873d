"""Which requests replace a session's cookie."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from headgate_engine import Engine, MemoryStore, ShownSession, session_hash
from headgate_server.auth.session_cookie_fields import SessionCookies
from headgate_server.auth.session_rotation import SessionRotation
from headgate_server.config.settings import Settings
from headgate_server.http.request import Request
from headgate_server.telemetry.metrics import Metrics


async def _receive() -> Any:
    raise AssertionError("no body is read")


@pytest.mark.slow
@pytest.mark.parametrize("rotates", [True, False])
def test_a_response_that_cannot_set_a_cookie_rotates_no_session(rotates: bool) -> None:
    engine = Engine(MemoryStore())
    engine.create_user("root", "Toor-pw-1", admin=True)
    user = engine.authenticate("root", "Toor-pw-1")
    _, token = engine.sessions.begin(user, "password", address="127.0.0.1", agent="")
    known = engine.sessions.authenticate_hash(session_hash(token))
    shown = ShownSession(known.principal, known.hash, known.seen, rotates=True)
    ran: list[object] = []

    async def run(work: Callable[[], str], key: object = ()) -> str:
        ran.append(key)
        return "a-new-token"

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    request = Request(scope | {"headers": []}, _receive, None)
    request.sets_cookies = rotates
    rotation = SessionRotation(engine, Metrics(), SessionCookies(Settings()), cast(Any, run))
    asyncio.run(rotation.rotate(request, shown))
    assert bool(ran) == bool(request.extra_headers) == rotates
