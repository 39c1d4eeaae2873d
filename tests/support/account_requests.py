"""Requests to the endpoints of accounts."""

import json
from base64 import b64encode
from http.cookies import SimpleCookie
from typing import Any

from support.servers import ROOT, Answer, Server

COOKIE = "headgate_session"
COOKIES = (COOKIE, f"__Host-{COOKIE}")


def send(
    server: Server,
    method: str,
    path: str,
    content: Any = None,
    login: tuple[str, str] | str | None = ROOT,
    *,
    cookie: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Sends *content* as JSON. *login* is a name and a password, a key, or None; or a *cookie*."""
    body = None if content is None else json.dumps(content).encode()
    fields = {"Content-Type": "application/json"} if body is not None else {}
    if cookie:
        fields["Cookie"] = f"other=1; {COOKIE}={cookie}"
        login = None
    if isinstance(login, str):
        fields["Authorization"] = f"Bearer {login}"
        login = None
    return server.request(method, path, body, fields | (headers or {}), login)


def make_key(server: Server, content: Any, login: tuple[str, str] | str = ROOT) -> dict[str, Any]:
    """Makes a key, and returns it as the response has it. Its text is a secret of the test."""
    answer = send(server, "POST", "/api/keys", content, login)
    assert answer.status == 201, answer.body
    server.secrets.add(answer.json["key"])
    found: dict[str, Any] = answer.json
    return found


def cookie_of(answer: Answer) -> str:
    """Returns the value of the session's cookie that *answer* sets; "" without one."""
    for field in answer.headers.get_all("Set-Cookie", []):
        for name, value in SimpleCookie(field).items():
            if name in COOKIES:
                return value.value
    return ""


def sign_in(server: Server, name: str, password: str) -> str:
    """Begins a session, and returns its token, a secret of the test."""
    answer = send(server, "POST", "/api/session", {"user": name, "password": password}, None)
    assert answer.status == 200, answer.body
    token = cookie_of(answer)
    server.secrets.add(token)
    return token


def encoded(password: str) -> str:
    """Returns *password* in Base64, as Pyroscope's clients send it."""
    return b64encode(password.encode()).decode()
