"""People sign in with their password in a directory, Debian's slapd; their sessions follow it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import SqliteStore
from support.account_requests import COOKIE, send
from support.command_here import run_command
from support.console_requests import Visitor, page_text
from support.ldap_fixtures import authority, needs_slapd, slapd
from support.local_server import LocalServer
from support.servers import ROOT
from support.slapd import GROUPS, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd

__all__ = ["authority", "slapd"]
pytestmark = needs_slapd

Serve = Callable[..., LocalServer]
ANN, DEV = f"uid=ann,{PEOPLE}", f"cn=dev,{GROUPS}"


def table(slapd: Slapd, more: str = "", server: str = "") -> str:
    return f"""
[auth.ldap]
enabled = true
{more}
[[auth.ldap.servers]]
name = "corp"
host = "127.0.0.1"
port = {slapd.port}
bind-dn = "{SERVICE}"
bind-password = "{SERVICE_PASSWORD}"
search-filter = "(uid=%s)"
search-base-dns = ["{PEOPLE}"]
{server}
[[auth.ldap.servers.group-mappings]]
group-dn = "{DEV}"
privilege = "WRITE"
databases = ["shop"]
"""


@pytest.fixture(autouse=True)
def _changes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate_engine.stores.sqlite.read_cache.MARK_CACHE_SECONDS", 0.0)


@pytest.fixture
def start(serve: Serve, tmp_path: Path) -> Callable[[str], LocalServer]:
    def started(text: str) -> LocalServer:
        path = tmp_path / "headgate.toml"
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return serve("--config", str(path)).bootstrap("CREATE DATABASE shop")

    return started


def session(server: LocalServer, name: str, password: str) -> Any:
    return send(server, "POST", "/api/session", {"user": name, "password": password}, None)


def test_a_person_signs_in_and_gets_the_rights_of_their_groups(
    start: Callable[[str], LocalServer], slapd: Slapd
) -> None:
    server = start(table(slapd))
    visitor = Visitor(server)
    answer = visitor.post("/login", {"username": "ann", "password": "ann-secret"})
    assert answer.status == 303 and COOKIE in visitor.cookies
    found = visitor.get("/api/user").json
    assert (found["name"], found["email"], found["isExternal"]) == ("ann", "ann@example.org", True)
    assert found["grants"] == {"shop": "WRITE"}
    (one,) = visitor.get("/api/user/sessions").json
    assert (one["method"], one["provider"]) == ("ldap", "ldap:corp")
    # Programs do not log in so, unless the option says it.
    assert server.query("SHOW DATABASES", ("ann", "ann-secret")).status == 401


WRONG = [
    ("ann", "wrong"),
    ("ann", ""),
    ("ann\0", "ann-secret"),
    ("*", "ann-secret"),
    (")(uid=*", "ann-secret"),
    ("a*", "ann-secret"),
    ("nobody", "ann-secret"),
    ("x" * 300, "ann-secret"),
    ("ann", "x" * 2000),
]


@pytest.mark.parametrize(("name", "password"), WRONG)
def test_a_wrong_login_is_refused_as_any_other(
    start: Callable[[str], LocalServer], slapd: Slapd, name: str, password: str
) -> None:
    server = start(table(slapd))
    answer = session(server, name, password)
    if password:
        assert (answer.status, answer.json["error"]) == (401, "authorization failed")
    else:
        assert answer.status == 400
    assert len(send(server, "GET", "/api/users").json) == 1


def test_a_user_with_a_password_of_our_own_logs_in_by_it_alone(
    start: Callable[[str], LocalServer], slapd: Slapd
) -> None:
    server = start(table(slapd))
    server.query("CREATE USER ann WITH PASSWORD 'our-own-1'", ROOT)
    assert session(server, "ann", "ann-secret").status == 401
    assert session(server, "ann", "our-own-1").status == 200
    server.query("CREATE USER bob WITH PASSWORD 'x-old-pw'", ROOT)
    server.query("DROP USER bob", ROOT)
    assert send(server, "POST", "/api/users", {"name": "bob"}).status == 201
    assert session(server, "bob", "bob-secret").status == 401  # a service account


def test_programs_log_in_by_the_directory_where_it_is_said(
    start: Callable[[str], LocalServer], slapd: Slapd
) -> None:
    server = start(table(slapd, "basic = true"))
    for _ in range(3):
        assert server.query("SHOW DATABASES", ("ann", "ann-secret")).status == 200
    assert server.query("SHOW DATABASES", ("ann", "wrong")).status == 401


def test_no_sign_up_leaves_unknown_people_out(
    start: Callable[[str], LocalServer], slapd: Slapd
) -> None:
    server = start(table(slapd, "allow-sign-up = false"))
    assert session(server, "ann", "ann-secret").status == 401


def test_a_directory_that_is_away_is_told_and_counts_no_failure(
    start: Callable[[str], LocalServer], slapd: Slapd
) -> None:
    port = slapd.port
    server = start(table(slapd).replace(f"port = {port}", "port = 1"))
    for _ in range(8):
        answer = session(server, "ann", "ann-secret")
        assert answer.status == 503
        assert answer.json["error"] == "the directory is not available, try again"
    page = Visitor(server).post("/login", {"username": "ann", "password": "ann-secret"})
    assert page.status == 503 and "The directory is not available" in page_text(page)
    assert session(server, *ROOT).status == 200


def let_access_end(server: LocalServer) -> None:
    with closing(SqliteStore(server.store)) as store:
        for one in store.sessions():
            ended = replace(one, access_expires_at=one.created_at - 1)
            store.upkeep(lambda tx, it=ended: tx.put_session(it))  # type: ignore[misc]


def test_a_session_follows_the_directory(start: Callable[[str], LocalServer], slapd: Slapd) -> None:
    server = start(table(slapd))
    slapd.add_user("zoe", "zoe-secret")
    slapd.change_member(DEV, f"uid=zoe,{PEOPLE}", add=True)
    visitor = Visitor(server)
    visitor.post("/login", {"username": "zoe", "password": "zoe-secret"})
    assert visitor.get("/api/user").json["grants"] == {"shop": "WRITE"}
    slapd.change_member(DEV, f"uid=zoe,{PEOPLE}", add=False)
    let_access_end(server)
    assert visitor.get("/api/user").json["grants"] == {}
    slapd.remove(f"uid=zoe,{PEOPLE}")
    assert visitor.get("/api/user").status == 200
    let_access_end(server)
    answer = visitor.get("/api/user")
    assert (answer.status, answer.json["code"]) == (401, "revoked")


def test_all_users_are_synced_by_a_command(
    start: Callable[[str], LocalServer], slapd: Slapd, tmp_path: Path
) -> None:
    server = start(table(slapd))
    yan = slapd.add_user("yan", "yan-secret")
    slapd.change_member(DEV, yan, add=True)
    for name in ("yan", "bob"):
        assert session(server, name, f"{name}-secret").status == 200
    slapd.change_member(DEV, yan, add=False)

    def sync(*flags: str) -> tuple[int, str]:
        config = str(tmp_path / "headgate.toml")
        done = run_command("ldap", "sync", "--config", config, "--store", str(server.store), *flags)
        return done.returncode, done.stdout + done.stderr

    def users() -> dict[str, Any]:
        return {it["name"]: it for it in send(server, "GET", "/api/users").json}

    assert users()["yan"]["grants"] == {"shop": "WRITE"}
    assert sync() == (0, "")
    assert users()["yan"]["grants"] == {}
    slapd.remove(yan)
    gone = "yan is gone from the directory, or in no allowed group"
    assert sync() == (1, f"{gone}\n")
    assert sync("--disable-missing") == (1, f"{gone}: disabled\n")
    assert sync("--disable-missing") == (0, "")  # disabled already
    assert users()["yan"]["isDisabled"] and not users()["bob"]["isDisabled"]
