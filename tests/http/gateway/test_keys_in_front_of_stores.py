"""API keys in front of upstream stores: the gateway, forward authentication, sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.account_requests import make_key, send, sign_in
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.recorder_upstream import Recorder, recorder
from support.servers import Server

QUERY = "/prometheus/api/v1/query?query=up"


@pytest.fixture
def store() -> Iterator[Recorder]:
    with recorder() as upstream_store:
        upstream_store.reply = lambda heard: (200, {}, b'{"status":"success","data":[]}')
        yield upstream_store


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, store: Recorder) -> Server:
    tables = upstream("mimir", name="m", urls=[store.url]) + upstream("mimir", name="f", mount="/f")
    return configured(serve, tmp_path, tables).bootstrap(TWO)


def test_a_key_is_confined_to_its_scope_at_a_store(server: Server, store: Recorder) -> None:
    content = {"name": "k", "user": "ann", "grants": {"a": "READ"}}
    key = make_key(server, content)["key"]
    for scheme in ("Bearer", "Token"):
        headers = {"Authorization": f"{scheme} {key}", "X-Scope-OrgID": "a"}
        assert server.request("GET", QUERY, None, headers).status == 200
        assert store.last.tenant == "a"
        assert "Authorization" not in dict(store.last.headers)
    before = len(store.heard)
    for method, path, tenant in (
        ("GET", QUERY, "b"),
        ("POST", "/api/v1/push", "a"),
        ("DELETE", "/prometheus/config/v1/rules/x", "a"),
    ):
        headers = {"Authorization": f"Bearer {key}", "X-Scope-OrgID": tenant}
        assert server.request(method, path, b"", headers).status == 403, path
    assert len(store.heard) == before


def test_another_proxy_asks_about_a_key(server: Server) -> None:
    key = make_key(server, {"name": "k", "user": "ann", "grants": {"a": "READ"}})["key"]
    for tenant, status in (("a", 200), ("b", 403)):
        headers = {
            "Authorization": f"Bearer {key}",
            "X-Original-URI": QUERY,
            "X-Original-Method": "GET",
            "X-Scope-OrgID": tenant,
        }
        answer = server.request("GET", "/auth/nginx/f", None, headers)
        assert answer.status == status
    assert answer.error
    headers["Authorization"] = f"Bearer {key[:-1]}"
    assert server.request("GET", "/auth/nginx/f", None, headers).status == 401


def test_a_session_is_no_login_at_a_store_nor_for_another_proxy(
    server: Server, store: Recorder
) -> None:
    cookie = {"Cookie": f"headgate_session={sign_in(server, *ANN)}", "X-Scope-OrgID": "a"}
    assert server.request("GET", QUERY, None, cookie).status == 401
    asked = cookie | {"X-Original-URI": QUERY, "X-Original-Method": "GET"}
    assert server.request("GET", "/auth/nginx/f", None, asked).status == 401
    assert store.heard == []


def test_an_agent_pushes_profiles_to_pyroscope_with_a_key(
    serve: Callable[..., Server], tmp_path: Path, store: Recorder
) -> None:
    table = upstream("pyroscope", name="p", urls=[store.url])
    server = configured(serve, tmp_path, table).bootstrap("CREATE DATABASE a; CREATE DATABASE b")
    agent = {"name": "agent", "grants": {"a": "WRITE"}}
    assert send(server, "POST", "/api/users", agent).status == 201
    made = make_key(server, {"name": "eu", "user": "agent", "role": "Agent"})
    profile = b"main;work 100\nmain;sleep 5\n"
    path = "/ingest?name=shop.cpu&from=1700000000&until=1700000010&format=folded&sampleRate=100"

    def push(tenant: str, key: str = made["key"]) -> int:
        headers = {"Authorization": f"Bearer {key}", "X-Scope-OrgID": tenant}
        return server.request("POST", path, profile, headers).status

    assert push("a") == 200
    pushed = store.last
    assert (pushed.target, pushed.body, pushed.tenant) == (path, profile, "a")
    assert not pushed.all("Authorization")
    before = len(store.heard)
    assert (push("b"), push("a", made["key"][:-1])) == (403, 401)
    headers = {"Authorization": f"Bearer {made['key']}", "X-Scope-OrgID": "a"}
    assert server.request("GET", "/pyroscope/render?query=x", None, headers).status == 403
    assert send(server, "DELETE", f"/api/keys/{made['id']}").status == 204
    assert push("a") == 401 and len(store.heard) == before
