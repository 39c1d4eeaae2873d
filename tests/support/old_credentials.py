"""Old credentials: each way in, after each change of the user, on two servers with one store."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from headgate_server.auth.shared_secret import mint
from support.account_requests import make_key, send, sign_in
from support.local_server import LocalServer
from support.servers import ROOT, Server
from support.waiting import poll_until

SECRET = "a shared secret of more than thirty-two bytes"
PASSWORD = "s3cret-1"
Login = Callable[[Server], int]

DROP, CREATE = "DROP USER todd", f"CREATE USER todd WITH PASSWORD '{PASSWORD}'"
# For each change: the ways that are still accepted after it.
CHANGES: dict[str, set[str]] = {
    "nothing": {"password", "token", "token without iat", "key", "session"},
    "new password": {"token without iat", "key"},
    "same password set again": {"password", "token without iat", "key"},
    "dropped": set(),
    "dropped and made again": {"password", "token without iat"},
    "disabled": set(),
    "disabled and enabled": {"password", "token", "token without iat", "key"},
    "revoked grant": {"password", "token", "token without iat", "key", "session"},
}


def change(server: Server, name: str, id: str) -> None:
    statements = {
        "new password": "SET PASSWORD FOR todd = 'other-1'",
        "same password set again": f"SET PASSWORD FOR todd = '{PASSWORD}'",
        "dropped": DROP,
        "dropped and made again": f"{DROP}; {CREATE}",
        "revoked grant": "REVOKE READ ON shop FROM todd",
    }
    if name in statements:
        assert not server.query(statements[name]).error
    if name.startswith("disabled"):
        assert send(server, "PUT", f"/api/users/{id}/disable").status == 204
    if name == "disabled and enabled":
        assert send(server, "PUT", f"/api/users/{id}/enable").status == 204


FLAGS = ("--shared-secret", SECRET)
Accepted = Callable[[], set[str]]


def prepare(servers: Sequence[LocalServer]) -> None:
    """Makes the administrator, a database and the user todd by the first of *servers*."""
    for server in servers:
        server.secrets.update((SECRET, PASSWORD))
    servers[0].bootstrap(f"CREATE DATABASE shop; {CREATE}; GRANT READ ON shop TO todd")


def check(
    servers: Sequence[LocalServer],
    name: str,
    wait: Callable[[Accepted, set[str]], None],
    *,
    remembered: bool,
) -> None:
    """Makes the change *name* by the first server, and tries each way in on both.

    With *remembered*, both servers have let in the user before. *wait* asserts that the ways that
    are accepted are those that are expected, at once or after a while.
    """
    first, other = servers
    now = time.time()
    key = make_key(first, {"name": "k", "user": "todd"})["key"]
    token = mint("todd", SECRET, now + 600, issued_at=now)
    plain = mint("todd", SECRET, now + 600)
    cookie = sign_in(first, "todd", PASSWORD)
    for server in servers:
        server.secrets.update((key, token, plain, cookie))

    def bearer(text: str) -> Login:
        headers = {"Authorization": f"Bearer {text}"}
        return lambda server: server.request("GET", "/api/whoami", None, headers).status

    ways: dict[str, Login] = {
        "password": lambda server: server.query("SHOW DATABASES", ("todd", PASSWORD)).status,
        "token": bearer(token),
        "token without iat": bearer(plain),
        "key": bearer(key),
        "session": lambda server: send(server, "GET", "/api/whoami", cookie=cookie).status,
    }

    def accepted(server: Server) -> set[str]:
        return {way for way, login in ways.items() if login(server) == 200}

    if remembered:
        for server in servers:
            wait(partial(accepted, server), set(ways))
    (user,) = send(first, "GET", "/api/users?name=todd", None, ROOT).json
    if name in ("new password", "same password set again", "dropped and made again"):
        # Times of tokens are whole seconds: the change must be in a later one.
        poll_until(lambda: int(time.time()) > int(now), "the clock stands still")
    change(first, name, user["id"])
    for server in (other, first):
        wait(partial(accepted, server), CHANGES[name])
