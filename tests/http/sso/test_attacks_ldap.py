"""Names that a directory takes for each other, though they are different names of users here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.account_requests import send
from support.ldap_fixtures import authority, needs_slapd, slapd
from support.local_server import LocalServer
from support.servers import ROOT
from support.slapd import PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd

__all__ = ["authority", "slapd"]
pytestmark = needs_slapd
VARIANTS = ["ANN", "Ann", "ann ", " ann", "a\\6en", "ann\t"]


@pytest.fixture
def start(serve: Any, tmp_path: Path, slapd: Slapd) -> Callable[[], LocalServer]:
    """Starts a server with a directory, in which users may have own passwords, too."""

    def started() -> LocalServer:
        path = tmp_path / "headgate.toml"
        path.write_text(
            f"""
[auth]
external-passwords = true
[auth.ldap]
enabled = true
basic = true
[[auth.ldap.servers]]
name = "corp"
host = "127.0.0.1"
port = {slapd.port}
bind-dn = "{SERVICE}"
bind-password = "{SERVICE_PASSWORD}"
search-filter = "(uid=%s)"
search-base-dns = ["{PEOPLE}"]
""",
            "utf-8",
        )
        path.chmod(0o600)
        server: LocalServer = serve("--config", str(path))
        return server.bootstrap("CREATE DATABASE shop")

    return started


def status(server: LocalServer, name: str, password: str) -> int:
    content = {"user": name, "password": password}
    return send(server, "POST", "/api/session", content, None).status


def names(server: LocalServer) -> list[str]:
    return [one["name"] for one in send(server, "GET", "/api/users").json]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_user_with_an_own_password_comes_in_by_it_under_no_other_name(
    start: Callable[[], LocalServer], name: str
) -> None:
    server = start()
    assert status(server, "ann", "ann-secret") == 200
    assert server.query("SHOW DATABASES", (name, "ann-secret")).status in (200, 401)
    assert not server.query("SET PASSWORD FOR ann = 'our-own-1'", ROOT).error
    assert status(server, "ann", "our-own-1") == 200
    for one in ("ann", name):
        assert status(server, one, "ann-secret") == 401, one
        assert server.query("SHOW DATABASES", (one, "ann-secret")).status == 401, one


@pytest.mark.parametrize("name", VARIANTS)
def test_another_spelling_is_no_further_user(start: Callable[[], LocalServer], name: str) -> None:
    server = start()
    status(server, name, "ann-secret")
    assert names(server) in (["root"], ["root", "ann"])


@pytest.mark.parametrize("name", VARIANTS)
def test_another_spelling_is_not_the_local_user_of_that_name(
    start: Callable[[], LocalServer], name: str
) -> None:
    server = start()
    server.query("CREATE USER ann WITH PASSWORD 'our-own-1'", ROOT)
    assert status(server, name, "ann-secret") == 401
    assert send(server, "GET", "/api/users?name=ann").json[0]["isExternal"] is False
