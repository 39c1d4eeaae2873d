"""The set-up token of a start, of one worker and of several."""

import re
from collections.abc import Callable

import pytest

from support.server_process import ServerProcess
from support.servers import CREATE_ROOT, ROOT, Server
from support.setup_requests import REMOTE_CLIENT, send_query


def token_of(server: Server) -> str:
    found = re.search(r"Authorization: Bearer (hgs_[0-9a-f]{40})", server.log())
    assert found is not None, server.log()
    return found[1]


@pytest.mark.parametrize(("workers", "scheme"), [("1", "Bearer"), ("2", "Token")])
def test_the_token_of_the_start_lets_any_client_create_it_once(
    serve_process: Callable[..., ServerProcess], workers: str, scheme: str
) -> None:
    server = serve_process("--workers", workers)
    token = {**REMOTE_CLIENT, "Authorization": f"{scheme} {token_of(server)}"}
    assert send_query(server, "SHOW USERS", token).status == 403, "nothing else is answered before"
    assert send_query(server, CREATE_ROOT, token).status == 200
    again = send_query(server, "CREATE USER two WITH PASSWORD 'x' WITH ALL PRIVILEGES", token)
    assert again.status == 401
    assert server.query("SHOW USERS", ROOT).rows() == [["root", True]]
    server.stop()
    server.start()
    assert send_query(server, "SHOW USERS", token).status == 401
