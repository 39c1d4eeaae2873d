"""Loki's tail for a browser with the cookie of a session."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from support.account_requests import COOKIE, cookie_of, send, sign_in
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.servers import ROOT, Server
from support.tails import PATH, cut, querier
from support.waiting import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """The privilege for an open tail is checked twice a second."""
    monkeypatch.setattr("headgate_server.api.tail.RECHECK_SECONDS", 0.5)


@pytest.mark.parametrize("counts", [True, False])
def test_a_session_opens_a_tail_where_cookies_count_for_stores(
    serve: Callable[..., Server], tmp_path: Path, port: int, counts: bool
) -> None:
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    table += f"[auth]\ncookie-on-gateway = {str(counts).lower()}\n"
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    cookie = sign_in(server, *ANN)
    url, headers = f"ws://127.0.0.1:{server.port}{PATH}", {"Cookie": f"{COOKIE}={cookie}"}

    async def run() -> None:
        async with querier(port, []), connect(url, additional_headers=headers) as tail:
            assert await tail.recv() == '{"n": 1}'
            with pytest.raises(TimeoutError):  # two checks do not close it
                await asyncio.wait_for(tail.recv(), 1.2)
            await tail.send("still here")
            assert await tail.recv() == "still here"
            (session,) = send(server, "GET", "/api/user/sessions", None, ANN).json
            assert send(server, "DELETE", f"/api/user/sessions/{session['id']}", None, ANN)
            assert await cut(tail) == 1008

    if counts:
        asyncio.run(run())
        return
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(run())
    assert refused.value.response.status_code == 401


@pytest.mark.slow
def test_a_tail_outlasts_the_token_that_opened_it(
    serve: Callable[..., Server], tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced token that is shown again would end the session: the tail shows it no more."""
    monkeypatch.setattr("headgate_engine.model.session.GRACE_SECONDS", -1)
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    table += "[auth]\ncookie-on-gateway = true\n"
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    cookie = sign_in(server, *ANN)
    url, headers = f"ws://127.0.0.1:{server.port}{PATH}", {"Cookie": f"{COOKIE}={cookie}"}
    monkeypatch.setattr("headgate_engine.accounts.sessions.YOUNG_SECONDS", -1)

    async def run() -> None:
        async with querier(port, []), connect(url, additional_headers=headers) as tail:
            assert await tail.recv() == '{"n": 1}'
            token = cookie
            for _ in range(2):
                token = cookie_of(send(server, "POST", "/api/session/rotate", cookie=token))
                assert token and send(server, "GET", "/api/user", cookie=token).status == 200
            with pytest.raises(TimeoutError):  # two checks do not close it
                await asyncio.wait_for(tail.recv(), 1.2)
            assert send(server, "GET", "/api/user", cookie=token).status == 200
            server.query("REVOKE ALL ON a FROM ann")
            assert await cut(tail) == 1008

    asyncio.run(run())


@pytest.mark.slow
def test_a_tail_for_a_user_that_a_proxy_names_begins_no_sessions(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    table += "[auth]\ncookie-on-gateway = true\n[auth.proxy]\nenabled = true\n"
    table += 'enable-login-token = true\nwhitelist = ["127.0.0.1"]\n'
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    named = {"X-WEBAUTH-USER": "eve"}
    server.request("GET", "/loki/api/v1/labels", None, named)
    server.query("GRANT READ ON a TO eve", ROOT)

    async def run() -> None:
        url = f"ws://127.0.0.1:{server.port}{PATH}"
        async with querier(port, []), connect(url, additional_headers=named) as tail:
            assert await tail.recv() == '{"n": 1}'
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tail.recv(), 1.2)

    asyncio.run(run())
    assert send(server, "GET", "/api/sessions").json["count"] == 0
    answer = server.request("GET", "/api/whoami", None, named)
    assert COOKIE in answer.headers["Set-Cookie"]
    assert send(server, "GET", "/api/sessions").json["count"] == 1


def test_a_session_opens_no_tail_for_a_page_of_another_site(
    serve: Callable[..., Server], tmp_path: Path, port: int
) -> None:
    table = upstream("loki", components={"querier": f"http://127.0.0.1:{port}"})
    table += "[auth]\ncookie-on-gateway = true\n"
    server = configured(serve, tmp_path, table).bootstrap(TWO)
    cookie = {"Cookie": f"{COOKIE}={sign_in(server, *ANN)}", "Origin": "https://evil.example"}

    async def run() -> None:
        url = f"ws://127.0.0.1:{server.port}{PATH}"
        async with querier(port, []), connect(url, additional_headers=cookie):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(run())
    assert refused.value.response.status_code == 403
