"""Forward authentication of logins that a browser sends by itself, and of anonymous requests."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from support.account_requests import COOKIE, send, sign_in
from support.forward_auth_requests import QUERY, asks
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.servers import ROOT, Server


def _with_browsers(serve: Callable[..., Server], folder: Path, lines: str) -> Server:
    tables = upstream("mimir", name="m") + upstream("influxdb1", name="i", mount="/influx")
    return configured(serve, folder, tables + lines).bootstrap(TWO)


def _statement(text: str) -> str:
    return "/influx/query?" + urlencode({"q": text, "db": "a"})


SELECT, DELETE = _statement("SELECT v FROM cpu"), _statement("DROP SERIES FROM cpu")
STORE_REQUESTS = [
    # upstream, original URI and method, status where browsers' logins count
    ("m", QUERY, "GET", 200),
    ("m", "/api/v1/push", "POST", 200),
    ("i", SELECT, "GET", 200),
    ("i", DELETE, "GET", 403),
    ("i", "/influx/write?db=a", "POST", 401),
]


@pytest.mark.parametrize("counts", [True, False])
def test_a_session_counts_where_cookies_count_for_stores(
    serve: Callable[..., Server], tmp_path: Path, counts: bool
) -> None:
    lines = f"[auth]\ncookie-on-gateway = {str(counts).lower()}\n"
    server = _with_browsers(serve, tmp_path, lines)
    server.query("GRANT ALL ON a TO ann", ROOT)
    cookie = f"{COOKIE}={sign_in(server, *ANN)}"
    for name, uri, method, status in STORE_REQUESTS:
        answer = asks(server, "nginx", uri, method, name=name, login="", Cookie=cookie)
        assert answer.status == (status if counts else 401), (uri, answer.error)
        if answer.status == 200:
            assert answer.headers["X-Auth-User"] == "ann"
            assert "Set-Cookie" not in answer.headers
    if counts:
        other = {"Cookie": cookie, "Origin": "https://evil.example", "login": ""}
        assert asks(server, "nginx", "/api/v1/push", "POST", **other).status == 403
        send(server, "DELETE", "/api/user/sessions", None, ANN)
        assert asks(server, "nginx", QUERY, login="", Cookie=cookie).status == 401


def test_a_proxy_in_front_names_the_user(serve: Callable[..., Server], tmp_path: Path) -> None:
    lines = '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\nforward-auth = true\n'
    server = _with_browsers(serve, tmp_path, lines)
    named = {"X_WEBAUTH_USER": "eve", "login": ""}
    assert asks(server, "nginx", QUERY, **named).status == 403  # eve has no rights yet
    server.query("GRANT ALL ON a TO eve", ROOT)
    for name, uri, method, status in STORE_REQUESTS[:4]:
        answer = asks(server, "nginx", uri, method, name=name, **named)
        assert answer.status == status, (uri, answer.error)
    assert asks(server, "nginx", QUERY, **named).headers["X-Auth-User"] == "eve"
    evil = {"Origin": "https://evil.example"}
    assert asks(server, "nginx", "/api/v1/push", "POST", **named, **evil).status == 403


def test_the_header_of_a_proxy_does_not_count_without_the_option(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """A proxy passes on what a client sends: its own header must not name a user."""
    lines = '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\nadopt-existing = "any"\n'
    server = _with_browsers(serve, tmp_path, lines)
    for login, status in (("", 401), ("ann", 200)):
        assert asks(server, "nginx", QUERY, X_WEBAUTH_USER="bob", login=login).status == status
    assert asks(server, "nginx", QUERY, X_WEBAUTH_USER="bob").headers["X-Auth-User"] == "ann"


def test_a_proxy_that_is_not_listed_names_no_user(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    lines = '[auth.proxy]\nenabled = true\nwhitelist = ["192.0.2.1"]\nforward-auth = true\n'
    server = _with_browsers(serve, tmp_path, lines)
    named = {"X_WEBAUTH_USER": "ann"}
    assert asks(server, "nginx", QUERY, login="", **named).status == 401
    assert asks(server, "nginx", QUERY, login="ann", **named).status == 200


def test_a_request_without_a_login_reads_as_the_anonymous_user(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    lines = '[auth.anonymous]\nenabled = true\nuser = "ann"\nprivilege = "READ"\n'
    server = _with_browsers(serve, tmp_path, lines)
    for name, uri, method, status in (
        ("m", QUERY, "GET", 200),
        ("m", "/api/v1/push", "POST", 403),
        ("i", SELECT, "GET", 200),
        ("i", DELETE, "GET", 403),
        ("i", "/influx/write?db=a", "POST", 401),
    ):
        answer = asks(server, "nginx", uri, method, name=name, login="")
        assert answer.status == status, (uri, answer.error)
