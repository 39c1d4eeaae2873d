"""The client's address behind a trusted proxy: what counts, and what the audit has."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_server.http.trusted_proxies import client_address
from support.local_server import LocalServer
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until

NETWORKS = ("10.0.0.0/8", "::1/128")
# Connection, X-Forwarded-For, X-Real-IP, and the client's address.
CASES = [
    ("10.0.0.1", ["203.0.113.7"], "", "203.0.113.7"),
    ("10.0.0.1", ["198.51.100.9, 203.0.113.7"], "", "203.0.113.7"),
    ("10.0.0.1", ["198.51.100.9", "203.0.113.7, 10.0.0.2"], "", "203.0.113.7"),
    ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "", "10.0.0.3"),
    ("10.0.0.1", ["203.0.113.7"], "198.51.100.9", "203.0.113.7"),
    ("10.0.0.1", [], "203.0.113.7", "203.0.113.7"),
    ("10.0.0.1", [], "", "10.0.0.1"),
    ("10.0.0.1", ["nonsense"], "203.0.113.7", "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.7, nonsense, 10.0.0.2"], "", "10.0.0.2"),
    ("10.0.0.1", ["203.0.113.7:4711"], "", "203.0.113.7"),
    ("10.0.0.1", ["[2001:db8::1]:4711"], "", "2001:db8::1"),
    ("10.0.0.1", ["::ffff:203.0.113.7"], "", "203.0.113.7"),
    ("::1", ["2001:db8::1"], "", "2001:db8::1"),
    ("unix", ["203.0.113.7"], "", "203.0.113.7"),
    # A client that is no trusted proxy names no address.
    ("192.0.2.1", ["203.0.113.7"], "203.0.113.8", "192.0.2.1"),
]


@pytest.mark.parametrize(("connection", "forwarded", "real", "address"), CASES)
def test_the_last_hop_that_is_no_trusted_proxy_is_the_client(
    connection: str, forwarded: list[str], real: str, address: str
) -> None:
    assert client_address(NETWORKS, connection, forwarded, real) == address
    assert client_address((), connection, forwarded, real) == connection


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


def test_what_is_no_network_stops_the_start(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "s.db", (), {"HEADGATE_HTTP_TRUSTED_PROXIES": "10.0.0.1/8"})
    sentence = "trusted-proxies: expected networks such as 10.0.0.0/8, with commas between them"
    assert server.attempt() == sentence
