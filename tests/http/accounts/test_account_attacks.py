"""Ways to get more from an account than was given, each of which was tried."""

import json
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headgate_server.auth.shared_secret import mint
from support.account_requests import COOKIE, encoded, make_key, send, sign_in
from support.local_server import LocalServer
from support.waiting import poll_until

Serve = Callable[..., LocalServer]
TODD = ("todd", "s3cret")
SECRET = "a shared secret of more than thirty-two bytes"


@pytest.fixture
def running(serve: Serve) -> LocalServer:
    return serve("--shared-secret", SECRET).bootstrap(
        "CREATE DATABASE shop; CREATE USER todd WITH PASSWORD 's3cret'; GRANT READ ON shop TO todd;"
        "CREATE USER boss WITH PASSWORD 's3cret' WITH ALL PRIVILEGES"
    )


@contextmanager
def late_body(
    server: LocalServer, method: str, path: str, content: object, authorization: str
) -> Iterator[Callable[[], int]]:
    """Sends a request but the end of its body. Yields what sends it and returns the status."""
    body = json.dumps(content).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(head.encode() + body[:-1])
        # The login is checked when the head is there.
        poll_until(lambda: server.query("SHOW DATABASES").status == 200, "busy")

        def finish() -> int:
            line.sendall(body[-1:])
            return int(line.recv(4096).split(b" ", 2)[1])

        yield finish


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("method", "path", "content", "login", "change"),
    [
        ("POST", "/api/user/keys", {"name": "k"}, "todd",
         "DROP USER todd; CREATE USER todd WITH PASSWORD 'other-1'"),
        ("POST", "/api/user/keys", {"name": "k"}, "todd", "SET PASSWORD FOR todd = 'other-1'"),
        ("POST", "/api/users", {"name": "x", "role": "Admin"}, "boss", "DROP USER boss"),
        ("POST", "/api/keys", {"name": "k", "role": "Admin"}, "boss",
         "REVOKE ALL PRIVILEGES FROM boss"),
        ("POST", "/api/apply", {"users": {"x": {"password": "x", "admin": True}}}, "boss",
         "REVOKE ALL PRIVILEGES FROM boss"),
        ("PATCH", "/api/user", {"email": "a@b.example"}, "todd", "DROP USER todd"),
    ],
)  # fmt: skip
def test_a_login_that_ends_while_the_body_arrives_changes_nothing(
    running: LocalServer, method: str, path: str, content: object, login: str, change: str
) -> None:
    with late_body(running, method, path, content, basic(login, "s3cret")) as finish:
        assert not running.query(change).error
        assert finish() in (401, 403)
    users = running.query("SHOW USERS").rows()
    assert ["x", True] not in users
    assert send(running, "GET", "/api/keys").json == []


def test_a_key_is_no_old_password(running: LocalServer) -> None:
    cookie = sign_in(running, *TODD)
    key = send(running, "POST", "/api/user/keys", {"name": "k"}, cookie=cookie).json["key"]
    running.secrets.add(key)
    content = {"oldPassword": encoded(key), "newPassword": encoded("Evil-9")}
    answer = send(running, "PUT", "/api/user/password", content, cookie=cookie)
    assert (answer.status, answer.json["error"]) == (400, "invalid password")
    assert running.query("SHOW DATABASES", TODD).status == 200


def test_a_session_ends_with_the_token_that_it_was_made_from(running: LocalServer) -> None:
    end = int(time.time()) + 600
    token = mint("todd", SECRET, end, issued_at=time.time())
    running.secrets.add(token)
    answer = send(running, "POST", "/api/session", None, token)
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    running.secrets.add(cookie)
    age = int(answer.headers["Set-Cookie"].partition("Max-Age=")[2].partition(";")[0])
    assert 590 <= age <= 600
    expires = answer.json["session"]["expires_at"]
    assert expires == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))


def test_a_disabled_user_is_allowed_nothing_by_authzen(running: LocalServer) -> None:
    (user,) = send(running, "GET", "/api/users?name=todd").json
    question = {
        "subject": {"type": "user", "id": "todd"},
        "resource": {"type": "database", "id": "shop"},
        "action": {"name": "READ"},
    }

    def answers() -> tuple[bool, list[str], list[str]]:
        decision = send(running, "POST", "/access/v1/evaluation", question).json["decision"]
        subjects, resources = (
            send(running, "POST", f"/access/v1/search/{kind}", question).json["results"]
            for kind in ("subject", "resource")
        )
        return decision, [it["id"] for it in subjects], [it["id"] for it in resources]

    assert answers() == (True, ["root", "todd", "boss"], ["shop"])
    assert send(running, "PUT", f"/api/users/{user['id']}/disable").status == 204
    assert answers() == (False, ["root", "boss"], [])


def test_without_user_keys_no_owner_extends_a_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_AUTH_USER_KEYS", "false")
    server = serve().bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    key = make_key(server, {"name": "k", "user": "todd", "ttlSeconds": 60})
    path = f"/api/keys/{key['id']}/rotate"
    assert send(server, "POST", path, {"ttlSeconds": 0}, TODD).status == 403
    rotated = send(server, "POST", path, {"graceSeconds": 0}, TODD)
    server.secrets.add(rotated.json["key"])
    assert rotated.status == 200 and rotated.json["expiresAt"]


def test_a_sign_in_may_come_in_chunks(running: LocalServer) -> None:
    body = json.dumps({"user": "todd", "password": "s3cret"}).encode()
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as line:
        line.sendall(
            b"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
        answer = line.recv(8192)
    assert answer.startswith(b"HTTP/1.1 200")
    running.secrets.add(answer.partition(b"headgate_session=")[2].partition(b";")[0].decode())


def test_a_bad_cookie_beside_a_good_one_is_no_hindrance(running: LocalServer) -> None:
    good = sign_in(running, *TODD)
    for cookies in (f"{COOKIE}=bad; {COOKIE}={good}", f"{COOKIE}={good}; {COOKIE}=bad"):
        answer = running.request("POST", "/api/session/rotate", None, {"Cookie": cookies})
        assert (answer.status, answer.json) == (200, {"rotated": False})
        assert "Set-Cookie" not in answer.headers
        body = json.dumps({"user": "todd", "password": "s3cret"}).encode()
    fields = {"Cookie": cookies, "Content-Type": "application/json"}
    again = running.request("POST", "/api/session", body, fields)
    running.secrets.add(again.headers["Set-Cookie"].partition("=")[2].partition(";")[0])
    assert send(running, "GET", "/api/whoami", cookie=good).status == 401  # it was replaced


@pytest.mark.slow
def test_the_use_of_the_previous_text_is_seen(running: LocalServer) -> None:
    key = make_key(running, {"name": "k", "user": "todd"})
    path = f"/api/keys/{key['id']}"
    new = send(running, "POST", f"{path}/rotate", {}).json["key"]
    running.secrets.add(new)
    for text in (key["key"], new):
        assert send(running, "GET", "/api/whoami", None, text).status == 200
    poll_until(
        lambda: bool(send(running, "GET", path).json["previousLastSeenAt"]),
        "the use of the previous text is never seen",
    )
