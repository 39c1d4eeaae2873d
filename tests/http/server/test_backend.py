"""Headgate's users as the authentication backend of a Starlette application."""

import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from headgate_engine import Engine
from headgate_server import HeadgateBackend, configure
from support import made_tokens
from support.issuer_fixtures import claims, issuer_key, jwt_configuration, key_file_settings


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


@pytest.mark.parametrize("header", ["X-Token", "Authorization"])
def test_tokens_of_issuers_are_accepted_as_by_the_server(
    engine: Engine, tmp_path: Path, header: str
) -> None:
    key = issuer_key()
    (tmp_path / "key.pem").write_text(made_tokens.pem(key))
    file = tmp_path / "headgate.toml"
    lines = jwt_configuration(key_file_settings(tmp_path)).replace("X-Token", header)
    file.write_text(lines)
    settings = configure({}, {}, str(file)).settings
    backend = HeadgateBackend.from_settings(engine, settings)
    guard = Middleware(AuthenticationMiddleware, backend=backend, on_error=HeadgateBackend.refuse)
    prefix = "Bearer " if header == "Authorization" else ""
    with TestClient(Starlette(routes=[Route("/", page)], middleware=[guard])) as client:
        token = made_tokens.token(key, claims(sub="new"))
        assert client.get("/", headers={header: prefix + token}).text == "new"
        assert client.get("/").text == "anonymous"
        refused = client.get("/", headers={header: f"{prefix}{token}x"})
        assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)
        assert client.get("/", auth=("root", "Toor-1")).text == "root"
    assert engine.user("new") is not None
    asyncio.run(backend.aclose())
