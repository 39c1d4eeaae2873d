"""Loki's tail for a browser with the cookie of a session."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from support.account_requests import COOKIE, send, sign_in
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.servers import Server
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
