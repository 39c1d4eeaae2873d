"""Addresses behind trusted proxies in the audit."""

import json
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing

import pytest

from support.programs_of_ours import run_headgate
from support.raw_connections import heard, status
from support.server_process import ServerProcess
from support.servers import ROOT, Server
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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_audit_has_the_address_of_a_proxy_header(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    trusted = {"HEADGATE_HTTP_TRUSTED_PROXIES": "127.0.0.2"}
    server = serve_process("--workers", workers, HEADGATE_HTTP_PROXY_PROTOCOL="true", **trusted)
    server.bootstrap()
    login = b64encode(":".join(ROOT).encode())
    for number in range(4):
        query = b"POST /query?q=CREATE+DATABASE+d%d HTTP/1.1\r\n" % number
        head = b"Host: a\r\nConnection: close\r\nAuthorization: Basic " + login + b"\r\n\r\n"
        line = socket.create_connection(("127.0.0.1", server.port), 20, ("127.0.0.2", 0))
        with closing(line):
            line.sendall(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n" + query + head)
            assert status(heard(line)) == 200
    found = [json.loads(one) for one in audit(server).splitlines()]
    changes = [one for one in found if "CREATE DATABASE" in str(one)]
    assert len(changes) == 4
    assert all("2001:db8::7 via 127.0.0.2" in str(one) for one in changes)
    assert server.stop() == 0
