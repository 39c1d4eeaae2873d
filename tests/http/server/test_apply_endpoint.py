"""/api/apply: a declared state is applied in one transaction, and refused as a whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.audit_records import audit_records
from support.gateway_fixtures import TWO, configured, upstream
from support.local_server import LocalServer
from support.servers import ROOT, Answer, Server

STATE: dict[str, Any] = {
    "databases": {"telegraf": {"duration": "4w"}, "logs": {}},
    "users": {
        "todd": {"password": "Tödd-1", "grants": {"telegraf": "READ"}},
        "ann": {"password": "Ann-1", "admin": True},
    },
}
CHANGES = [
    "CREATE DATABASE telegraf WITH DURATION 672h0m0s REPLICATION 1 SHARD DURATION 24h0m0s"
    " NAME autogen",
    "CREATE DATABASE logs",
    "CREATE USER todd WITH PASSWORD [REDACTED]",
    "GRANT READ ON telegraf TO todd",
    "CREATE USER ann WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
]


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap()


def post(
    server: LocalServer,
    state: Any,
    parameters: str = "",
    login: tuple[str, str] = ROOT,
    headers: dict[str, str] | None = None,
) -> Answer:
    body = state if isinstance(state, bytes) else json.dumps(state).encode()
    return server.request("POST", f"/api/apply{parameters}", body, headers or {}, login)


def test_a_state_is_applied_once_and_then_changes_nothing(running: LocalServer) -> None:
    dry = post(running, STATE, "?dry_run=true")
    assert (dry.status, dry.json) == (200, {"changes": CHANGES, "applied": False})
    assert running.query("SHOW USERS", ROOT).rows() == [["root", True]]
    applied = post(running, STATE)
    assert (applied.status, applied.json) == (200, {"changes": CHANGES, "applied": True})
    assert post(running, STATE).json == {"changes": [], "applied": True}
    assert running.query("SHOW DATABASES", ("todd", "Tödd-1")).rows() == [["telegraf"]]
    record = audit_records(running)[-1]
    assert (record.actor, record.address) == ("root", "127.0.0.1")
    assert record.statement == "; ".join(CHANGES)
    pruned = post(running, {"users": {"root": {}}}, "?prune=true").json["changes"]
    assert pruned == ["DROP USER todd", "DROP USER ann"]
    assert len(running.query("SHOW DATABASES", ROOT).rows()) == 2


@pytest.mark.parametrize(
    ("state", "parameters", "error"),
    [
        (b"{", "", "the body is no valid JSON"),
        ([], "", "the body: expected an object"),
        (b"null", "", "the body: expected an object"),
        ({"user": {}}, "", "the file: unknown key user, did you mean users?"),
        ({"users": {"x": {}}}, "", "user x does not exist yet: it needs a password or its hash"),
        ({"users": {"x": {"password": "Secret-9" * 10}}}, "", "user x: bcrypt: password length"),
        ({"users": {"x": {"password-file": "/etc/passwd"}}}, "", "unknown key password-file"),
        ({"users": {"root": {"admin": False}}}, "", "cannot remove the last admin user"),
        ({"users": {}}, "?prune=true", "no administrator would remain"),
        ({"users": {"\ud800": {"password": "x"}}}, "", "invalid name"),
        ({"databases": {"a/b": {}}}, "", "database a/b: invalid name"),
        ({"users": {"x": {"password": "\ud800"}}}, "", "password must be valid Unicode"),
        (b'{"users": {"x": {"password": "x"}, "x": {"admin": true}}}', "", "a repeated key"),
        ({"users": dict.fromkeys(map(str, range(201)), {"password": "x"})}, "", "more than 200"),
        (STATE, "?dryrun=true", "unknown parameter dryrun, did you mean dry_run?"),
        (STATE, "?dry_run=yes", "dry_run: expected true or false"),
    ],
)
def test_an_invalid_state_changes_nothing(
    running: LocalServer, state: Any, parameters: str, error: str
) -> None:
    if isinstance(state, dict) and "databases" not in state:
        state = {**state, "databases": {"good": {}}}
    answer = post(running, state, parameters)
    assert answer.status == 400 and error in answer.json["error"]
    assert "Secret-9" not in answer.json["error"] + running.log()
    assert not running.query("SHOW DATABASES", ROOT).rows()


def test_only_administrators_apply_and_no_page_of_another_site(running: LocalServer) -> None:
    post(running, STATE)
    denied = post(running, {"users": {"todd": {"admin": True}}}, login=("todd", "Tödd-1"))
    assert denied.status == 403 and "requires admin privilege" in denied.json["error"]
    site = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert post(running, {"users": {"todd": {"admin": True}}}, headers=site).status == 403
    assert post(running, {}, login=("root", "wrong")).status == 401
    assert ["todd", False] in running.query("SHOW USERS", ROOT).rows()


@pytest.mark.slow
def test_a_body_above_the_limit_is_refused(running: LocalServer) -> None:
    assert post(running, b" " * ((1 << 24) + 1)).status == 413


def test_no_database_that_a_store_may_have_data_of_is_dropped(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    tables = upstream("victoriametrics", urls=["http://127.0.0.1:1"])
    server = configured(serve, tmp_path, tables).bootstrap(TWO)
    body = json.dumps({"databases": {"a": {}}}).encode()
    for parameters in ("?prune=true", "?prune=true&dry_run=true"):
        answer = server.request("POST", f"/api/apply{parameters}", body, {}, ROOT)
        assert answer.status == 400
        assert "database b: an upstream store may have its data" in answer.json["error"]
    assert server.request("POST", "/api/apply", body, {}, ROOT).status == 200
    assert server.query("SHOW GRANTS FOR bob", ROOT).rows() == [["b", "ALL PRIVILEGES"]]
