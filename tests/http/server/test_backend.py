"""Headgate's users as the authentication backend of a Starlette application."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from headgate_engine import Engine
from headgate_server import HeadgateBackend


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.user.display_name or "anonymous")


@pytest.mark.parametrize("status", [401, 429])
def test_a_throttled_login_is_answered_as_the_server_answers_it(
    engine: Engine, status: int
) -> None:
    # 401 is the default.
    made = {401: HeadgateBackend(engine), 429: HeadgateBackend(engine, throttle_status=429)}
    backend = made[status]
    guard = Middleware(AuthenticationMiddleware, backend=backend, on_error=HeadgateBackend.refuse)
    with TestClient(Starlette(routes=[Route("/", page)], middleware=[guard])) as client:
        assert client.get("/").text == "anonymous"
        assert client.get("/", auth=("root", "Toor-1")).text == "root"
        for _ in range(5):
            wrong = client.get("/", auth=("root", "wrong"))
            assert (wrong.status_code, "retry-after" in wrong.headers) == (401, False)
        answer = client.get("/", auth=("root", "wrong"))
        assert answer.status_code == status
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert ("www-authenticate" in answer.headers) == (status == 401)
        texts = {401: "authorization failed", 429: "too many failed logins, try again in 1 s"}
        assert answer.json() == {"error": texts[status]}
        assert client.get("/", auth=("root", "Toor-1")).text == "root", "it was let in before"
    for one in made.values():
        one.close()
