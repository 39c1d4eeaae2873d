"""Addresses behind trusted proxies in the audit."""

import json
from collections.abc import Callable

import pytest

from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until


def audit(server: Server) -> str:
    return run_headgate("audit", "--json", "--store", str(server.store), check=True).stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_audit_has_both_addresses(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    server = serve_process("--workers", workers, HEADGATE_HTTP_TRUSTED_PROXIES="127.0.0.0/8, ::1")
    server.bootstrap()
    told = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}
    body = b"q=CREATE+USER+ann+WITH+PASSWORD+'Ann-pw-1'"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/query", body, told | form, ("root", "Toor-1")).status == 200
    wrong = ("root", "Wrong-1")
    assert server.request("GET", "/query?q=SHOW+USERS", None, told, wrong).status == 401

    def both() -> bool:
        lines = [json.loads(line) for line in audit(server).splitlines()]
        found = [str(one) for one in lines if "203.0.113.7 via 127.0.0.1" in str(one)]
        return any("CREATE USER" in one for one in found) and any("login" in one for one in found)

    poll_until(both, audit(server))
    assert "client=203.0.113.7" in server.log()


def test_without_the_option_a_client_names_no_address(serve: Callable[..., Server]) -> None:
    server = serve().bootstrap()
    told = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7"}
    server.request("GET", "/query?q=SHOW+USERS", None, told, ("root", "Wrong-1"))
    assert "203.0.113.7" not in server.log() + audit(server)
