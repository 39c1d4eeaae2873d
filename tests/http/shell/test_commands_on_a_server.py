"""`headgate key` and `headgate access` with `--server`, by the session of `headgate login`."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest

from headgate.saved_sessions import SavedSession, SavedSessions
from support.account_requests import COOKIE, sign_in
from support.command_here import run_command
from support.local_server import LocalServer
from support.servers import ROOT

Headgate = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def server(serve: Callable[..., LocalServer]) -> LocalServer:
    return serve().bootstrap(
        "CREATE DATABASE shop; CREATE DATABASE other; CREATE USER todd WITH PASSWORD 's3cret-1'",
        "GRANT READ ON shop TO todd",
    )


def command(tmp_path: Path, server: LocalServer, name: str, password: str) -> Headgate:
    """Returns a function that runs `headgate` where *name* is signed in to *server*."""
    url = f"http://127.0.0.1:{server.port}"
    if name:
        sessions = SavedSessions(str(tmp_path / "headgate" / "sessions"))
        sessions.save(SavedSession(url, name, COOKIE, sign_in(server, name, password)))

    def run(*arguments: str) -> tuple[int, list[str], str]:
        kept = {name: it for name, it in os.environ.items() if not name.startswith("HEADGATE_")}
        environment = kept | {"XDG_DATA_HOME": str(tmp_path)}
        done = run_command(*arguments, "--server", url, environment=environment)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


@pytest.mark.slow
def test_a_user_makes_and_sees_their_own_keys(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, "todd", "s3cret-1")
    status, (text,), errors = headgate("key", "create", "--name", "mine", "--grant", "shop=READ")
    server.secrets.add(text)
    assert (status, errors) == (0, "")
    (listed,) = map(json.loads, headgate("key", "list", "--json")[1])
    assert (listed["name"], listed["user"]) == ("mine", "todd")
    assert headgate("key", "revoke", listed["id"])[0] == 0


@pytest.mark.slow
def test_a_key_is_made_listed_rotated_and_revoked(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, *ROOT)
    create = ("key", "create", "--user", "todd", "--name", "eu", "--ttl", "30d")
    status, (text,), errors = headgate(*create, "--grant", "shop=READ")
    server.secrets.add(text)
    assert (status, errors) == (0, "")
    answer = server.request("GET", "/api/whoami", None, {"Authorization": f"Bearer {text}"})
    assert answer.json["grants"] == {"shop": "READ"}
    (listed,) = map(json.loads, headgate("key", "list", "--json")[1])
    assert (listed["name"], listed["user"]) == ("eu", "todd")
    assert len(headgate("key", "list", "--user", "todd")[1]) == 2
    assert len(headgate("key", "list", "--expired")[1]) == 1
    assert len(headgate("key", "list", "--unused", "1d")[1]) == 1
    status, (second,), _ = headgate("key", "rotate", listed["id"], "--grace", "0s")
    server.secrets.add(second)
    assert status == 0 and second != text
    revoked = headgate("key", "revoke", listed["id"])
    assert revoked == (0, [f"key {listed['id']} eu of todd revoked"], "")
    status, _, errors = headgate("key", "revoke", listed["id"])
    assert status == 1 and errors.startswith("headgate: http://127.0.0.1:")


WRONG = {
    "no id": (("key", "revoke", "x/../1"), "expected the id of a key"),
    "a store, too": (("key", "list", "--store", "x"), "--server: expected no --store"),
    "a role and a grant": (
        ("key", "create", "--user", "a", "--name", "b", "--role", "Agent", "--grant", "a=READ"),
        "--role: expected no --grant",
    ),
    "no privilege": (
        ("key", "create", "--user", "a", "--name", "b", "--grant", "a"),
        "--grant: expected DB=READ",
    ),
    "an unknown user": (("key", "list", "--user", "nil"), "user not found"),
    "an unknown database": (("access", "--database", "nil"), "database not found: nil"),
    "a store for access": (("access", "--config", "x"), "--server: expected no --store"),
}


@pytest.mark.parametrize(("arguments", "error"), WRONG.values(), ids=WRONG.keys())
def test_requests_that_are_refused(
    server: LocalServer, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    status, lines, errors = command(tmp_path, server, *ROOT)(*arguments)
    assert (status, lines) == (1, []) and error in errors and errors.count("\n") == 1


def test_the_access_on_a_server_is_listed(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, *ROOT)
    assert headgate("access")[1] == [
        "user  shop  other",
        "----  ----  -----",
        "root  A     A",
        "todd  R",
    ]
    assert headgate("access", "--user", "todd", "--format", "csv")[1] == [
        "user,shop,other",
        "todd,R,",
    ]
    assert headgate("access", "--database", "shop", "--format", "json")[1] == [
        '{"user": "root", "admin": true, "grants": {"shop": "ALL PRIVILEGES"}}',
        '{"user": "todd", "admin": false, "grants": {"shop": "READ"}}',
    ]


def test_the_server_decides_what_a_session_may_do(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, "todd", "s3cret-1")
    for arguments in (("access",), ("key", "list", "--user", "root")):
        status, _, errors = headgate(*arguments)
        assert status == 1 and "requires admin privilege" in errors, errors


def test_without_a_session_a_command_says_so(server: LocalServer, tmp_path: Path) -> None:
    status, _, errors = command(tmp_path, server, "", "")("key", "list")
    url = f"http://127.0.0.1:{server.port}"
    assert (status, errors) == (1, f"headgate: not signed in to {url}: see headgate login\n")


@pytest.mark.slow
def test_the_audit_of_a_server_is_filtered_and_summarized(
    server: LocalServer, tmp_path: Path
) -> None:
    headgate = command(tmp_path, server, *ROOT)
    server.query("SHOW USERS", ("todd", "wrong-1"))
    status, lines, errors = headgate("audit", "--database", "shop", "--json")
    assert (status, errors) == (0, "")
    assert [json.loads(line)["statement"] for line in lines] == [
        "CREATE DATABASE shop",
        "GRANT READ ON shop TO todd",
    ]
    assert len(headgate("audit", "--target", "todd", "--kind", "create user")[1]) == 1
    assert headgate("audit", "--user", "ann")[1] == []
    summary = headgate("audit", "--summary", "--json")[1]
    databases = [it for it in map(json.loads, summary) if it["kind"] == "CREATE DATABASE"]
    assert [(it["count"], it["user"], it["outcome"]) for it in databases] == [(2, "root", "ok")]


def test_the_audit_of_a_server_is_for_administrators(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, "todd", "s3cret-1")
    status, lines, errors = headgate("audit")
    assert (status, lines) == (1, [])
    assert "admin privilege" in errors
    assert headgate("audit", "--store", "users.db")[0] == 1


@pytest.mark.slow
def test_more_records_than_a_page_are_read(server: LocalServer, tmp_path: Path) -> None:
    headgate = command(tmp_path, server, *ROOT)
    before = len(headgate("audit")[1])
    statements = "; ".join(f"CREATE DATABASE d{number}" for number in range(1100))
    assert server.query(statements).status == 200
    lines = headgate("audit")[1]
    assert len(lines) == before + 1100
    assert len(set(lines)) == len(lines)


def test_a_session_by_another_name_of_this_machine_is_named(
    server: LocalServer, tmp_path: Path
) -> None:
    url = f"http://localhost:{server.port}"
    sessions = SavedSessions(str(tmp_path / "headgate" / "sessions"))
    sessions.save(SavedSession(url, "root", COOKIE, sign_in(server, *ROOT)))
    status, _, errors = command(tmp_path, server, "", "")("audit")
    assert status == 1
    assert f"see headgate login; there is a session at {url}\n" in errors


def test_the_time_of_the_first_record_may_have_any_offset(server: LocalServer) -> None:
    first = server.request("GET", "/api/audit?limit=1", basic=ROOT).json[0]["time"]
    moment = datetime.fromisoformat(first)
    for text in (
        moment.isoformat(),
        moment.astimezone(timezone(timedelta(hours=5))).isoformat(),
        f"{moment.replace(tzinfo=None).isoformat()}Z",
    ):
        path = f"/api/audit?limit=1&since={quote(text, safe='')}"
        assert server.request("GET", path, basic=ROOT).json[0]["time"] == first
    answer = server.request("GET", "/api/audit?since=soon", basic=ROOT)
    assert answer.status == 400 and b"since: expected a time" in answer.body
