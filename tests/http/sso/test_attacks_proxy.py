"""Attacks on the user that a proxy in front names, and on the session that it begins."""

from pathlib import Path
from typing import Any

import pytest

from support.account_requests import COOKIE, cookie_of, send
from support.local_server import LocalServer

USER = "X-WEBAUTH-USER"
PROXY = """
[auth.proxy]
enabled = true
enable-login-token = true
whitelist = ["127.0.0.1"]
"""


@pytest.fixture
def server(serve: Any, tmp_path: Path) -> LocalServer:
    path = tmp_path / "headgate.toml"
    path.write_text(PROXY, "utf-8")
    started: LocalServer = serve("--config", str(path)).bootstrap()
    return started


def begun(server: LocalServer) -> str:
    """Returns the cookie of the session that the proxy's first request begins."""
    token = cookie_of(server.request("GET", "/api/whoami", None, {USER: "ann"}))
    server.secrets.add(token)
    return f"{COOKIE}={token}"


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_sign_out_behind_the_proxy_ends_the_session_that_it_began(
    server: LocalServer, accept: str
) -> None:
    cookie = begun(server)
    assert server.request("GET", "/api/whoami", None, {"Cookie": cookie}).json["name"] == "ann"
    headers = {USER: "ann", "Cookie": cookie, "Accept": accept, "Sec-Fetch-Site": "same-origin"}
    answer = server.request("POST", "/logout", b"", headers)
    assert answer.status in (204, 303)
    assert f"{COOKIE}=; " in answer.headers["Set-Cookie"]
    assert server.request("GET", "/api/whoami", None, {"Cookie": cookie}).status == 401
    assert send(server, "GET", "/api/sessions").json["count"] == 0


def test_a_sign_out_without_the_cookie_begins_no_session(server: LocalServer) -> None:
    answer = server.request("POST", "/logout", b"", {USER: "ann"})
    assert answer.status == 303 and not cookie_of(answer)
    assert send(server, "GET", "/api/sessions").json["count"] == 0


def test_another_site_ends_no_session_behind_the_proxy(server: LocalServer) -> None:
    cookie = begun(server)
    headers = {USER: "ann", "Cookie": cookie, "Sec-Fetch-Site": "cross-site"}
    assert server.request("POST", "/logout", b"", headers).status == 403
    assert server.request("GET", "/api/whoami", None, {"Cookie": cookie}).status == 200
