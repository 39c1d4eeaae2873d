"""The client's address behind a trusted proxy: which headers count, and the audit's addresses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_server.http.trusted_proxies import client_address
from support.local_server import LocalServer
from support.servers import ROOT, Server
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
    # Headers of a client that is not a trusted proxy are ignored.
    ("192.0.2.1", ["203.0.113.7"], "203.0.113.8", "192.0.2.1"),
]


@pytest.mark.parametrize(("connection", "forwarded", "real", "address"), CASES)
def test_the_last_hop_that_is_no_trusted_proxy_is_the_client(
    connection: str, forwarded: list[str], real: str, address: str
) -> None:
    assert client_address(NETWORKS, connection, forwarded, real) == address
    assert client_address((), connection, forwarded, real) == connection


@pytest.mark.parametrize(
    ("kind", "address"), [("forwarded", "198.51.100.9"), ("x-forwarded", "203.0.113.7")]
)
def test_only_the_header_fields_of_the_option_count(
    serve: Callable[..., Server], kind: str, address: str
) -> None:
    fields = {"Forwarded": "for=198.51.100.9", "X-Forwarded-For": "203.0.113.7"}
    trusted = {"HEADGATE_HTTP_TRUSTED_PROXIES": "127.0.0.1/32"}
    server = serve(**trusted, HEADGATE_HTTP_PROXY_HEADERS=kind).bootstrap()
    assert server.request("GET", "/query?q=SHOW+USERS", None, fields, ROOT).status == 200
    poll_until(lambda: f"client={address} user=root" in server.log(), "no request")


def test_what_is_no_network_stops_the_start(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "s.db", (), {"HEADGATE_HTTP_TRUSTED_PROXIES": "10.0.0.1/8"})
    sentence = "trusted-proxies: expected networks such as 10.0.0.0/8, with commas between them"
    assert server.attempt() == sentence
