"""The set-up token of a start, of one worker and of several."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from support.server_process import ServerProcess
from support.servers import ROOT, Answer, Server

CREATE = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
# A proxy on the same machine says that the client is elsewhere.
ELSEWHERE = {"X-Forwarded-For": "192.0.2.1"}


def send(
    server: Server,
    text: str,
    headers: dict[str, str],
    method: str = "POST",
    basic: tuple[str, str] | None = None,
    **more: str,
) -> Answer:
    fields = urlencode({"q": text, **more})
    if method == "GET":
        return server.request("GET", f"/query?{fields}", None, headers, basic)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/query", fields.encode(), {**kind, **headers}, basic)


def token_of(server: Server) -> str:
    found = re.search(r"Authorization: Bearer (hgs_[0-9a-f]{40})", server.log())
    assert found is not None, server.log()
    return found[1]


@pytest.mark.parametrize(("workers", "scheme"), [("1", "Bearer"), ("2", "Token")])
def test_the_token_of_the_start_lets_any_client_create_it_once(
    serve_process: Callable[..., ServerProcess], workers: str, scheme: str
) -> None:
    server = serve_process("--workers", workers)
    token = {**ELSEWHERE, "Authorization": f"{scheme} {token_of(server)}"}
    assert send(server, "SHOW USERS", token).status == 403, "nothing else is answered before"
    assert send(server, CREATE, token).status == 200
    again = send(server, "CREATE USER two WITH PASSWORD 'x' WITH ALL PRIVILEGES", token)
    assert again.status == 401
    assert server.query("SHOW USERS", ROOT).rows() == [["root", True]]
    server.stop()
    server.start()
    assert send(server, "SHOW USERS", token).status == 401
