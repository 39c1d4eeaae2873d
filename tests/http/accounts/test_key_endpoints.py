"""API keys over HTTP: made, used in each place of a request, rotated, revoked."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from support.account_requests import make_key, send
from support.audit_records import audit_records
from support.local_server import LocalServer
from support.servers import ROOT
from support.waiting import poll_until

TODD = ("todd", "s3cret")
Serve = Callable[..., LocalServer]


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE shop; CREATE DATABASE bank; CREATE USER todd WITH PASSWORD 's3cret';"
        "CREATE USER ann WITH PASSWORD 's3cret'; GRANT ALL ON shop TO todd"
    )


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def ways(key: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Returns each way to show *key*: parameters of the URL, and headers."""
    return {
        "bearer": ("", {"Authorization": f"Bearer {key}"}),
        "lower case": ("", {"Authorization": f"bearer {key}"}),
        "token": ("", {"Authorization": f"Token {key}"}),
        "token with a name": ("", {"Authorization": f"Token todd:{key}"}),
        "basic": ("", {"Authorization": basic("todd", key)}),
        "basic as telegraf": ("", {"Authorization": basic("api_key", key)}),
        "parameters": (f"&u=api_key&p={quote(key)}", {}),
    }


@pytest.mark.parametrize("way", ways(""))
def test_a_key_is_accepted_wherever_a_password_or_a_token_is(
    running: LocalServer, way: str
) -> None:
    key = make_key(running, {"name": "telegraf", "user": "todd", "role": "ReadOnly"})["key"]
    parameters, headers = ways(key)[way]
    for path in ("/query?q=SHOW+RETENTION+POLICIES+ON+shop", "/api/whoami?x"):
        answer = running.request("GET", path + parameters, None, headers)
        assert answer.status == 200, answer.body
    assert answer.json["name"] == "todd" and answer.json["method"] == "key"
    assert answer.json["grants"] == {"shop": "READ"}
    denied = running.request("POST", "/write?db=shop" + parameters, b"m v=1", headers)
    assert denied.status == 403 and "todd" in denied.error
    denied = running.request("GET", "/query?q=SHOW+USERS" + parameters, None, headers)
    assert denied.status == 403


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        (lambda key: key, 200, ""),
        (lambda key: key[:-1], 401, "invalid API key"),
        (lambda key: key + "x", 401, "invalid API key"),
        (lambda key: "hgk_", 401, "invalid API key"),
        (lambda key: "hgk_" + "x" * 10_000, 401, "invalid API key"),
        (lambda key: key.replace("hgk", "hgx"), 401, ""),
    ],
)
def test_a_malformed_key_is_refused(
    running: LocalServer, change: Callable[[str], str], status: int, error: str
) -> None:
    key = make_key(running, {"name": "k", "user": "todd"})["key"]
    answer = send(running, "GET", "/api/whoami", login=change(key))
    assert answer.status == status
    if error:
        assert answer.json == {"error": error}


def test_another_name_beside_a_key_is_refused(running: LocalServer) -> None:
    key = make_key(running, {"name": "k", "user": "todd"})["key"]
    answer = send(running, "GET", "/api/whoami", login=("ann", key))
    assert (answer.status, answer.error) == (401, "authorization failed")


def test_the_scope_bounds_the_owner_now(running: LocalServer) -> None:
    key = make_key(running, {"name": "k", "user": "todd", "grants": {"shop": "WRITE"}})
    assert key["everywhere"] == "NO PRIVILEGES" and key["grants"] == {"shop": "WRITE"}
    text = key["key"]

    def grants() -> Any:
        return send(running, "GET", "/api/whoami", login=text).json["grants"]

    assert grants() == {"shop": "WRITE"}
    running.query("GRANT ALL ON bank TO todd; REVOKE WRITE ON shop FROM todd")
    assert grants() == {}
    running.query("GRANT ALL ON shop TO todd")
    assert grants() == {"shop": "WRITE"}
    running.query("DROP DATABASE shop; CREATE DATABASE shop; GRANT ALL ON shop TO todd")
    assert grants() == {}


def test_a_key_of_an_administrator_is_none_unless_it_says_so(running: LocalServer) -> None:
    plain = make_key(running, {"name": "plain"})
    assert plain["user"] == "root" and plain["role"] == "Editor" and not plain["admin"]
    admin = make_key(running, {"name": "admin", "role": "Admin"})
    for text, status in ((plain["key"], 403), (admin["key"], 200)):
        answer = send(running, "GET", "/query?q=SHOW+USERS", login=text)
        assert answer.status == status
        assert send(running, "GET", "/api/users", login=text).status == status
        answer = send(running, "POST", "/api/keys", {"name": "x"}, text)
        assert answer.status == (201 if status == 200 else 403)
    answer = send(running, "GET", "/api/whoami", login=plain["key"])
    assert answer.json["grants"] == {"shop": "ALL PRIVILEGES", "bank": "ALL PRIVILEGES"}


@pytest.mark.parametrize(
    ("content", "login", "status", "error"),
    [
        ({"name": "a"}, TODD, 201, ""),
        ({"name": "a", "grants": {"shop": "READ"}}, TODD, 201, ""),
        ({"name": "a", "grants": {"bank": "READ"}}, TODD, 403, "requires READ on bank"),
        ({"name": "a", "role": "Admin"}, TODD, 403, "requires admin privilege"),
        ({"name": "a", "user": "ann"}, TODD, 403, "requires admin privilege"),
        ({"name": "a", "user": "nix"}, ROOT, 404, "user not found"),
        ({"name": "a", "grants": {"nix": "READ"}}, ROOT, 404, "database not found: nix"),
        ({"name": ""}, ROOT, 400, "name: expected 1 to 255 characters"),
        ({"name": 5}, ROOT, 400, "name: expected a text"),
        ({}, ROOT, 400, "name: missing"),
        ([], ROOT, 400, "the body: expected an object"),
        ({"name": "a", "grnats": {}}, ROOT, 400, "unknown member grnats, did you mean grants?"),
        ({"name": "a", "grants": {"shop": "X"}}, ROOT, 400, "shop: expected READ, WRITE or ALL"),
        ({"name": "a", "role": "King"}, ROOT, 400, "role: expected Admin, Editor"),
        ({"name": "a", "role": "Admin", "admin": True}, ROOT, 400, "expected no admin beside it"),
        ({"name": "a", "ttlSeconds": True}, ROOT, 400, "ttlSeconds: expected a whole number"),
        ({"name": "a", "ttlSeconds": -1}, ROOT, 400, "ttlSeconds: expected 0 or more"),
        ({"name": "a", "expiresAt": "soon"}, ROOT, 400, "expiresAt: expected a time such as"),
        ({"name": "a", "expiresAt": "2020-01-01T00:00:00Z"}, ROOT, 400, "a time to come"),
        ({"name": "a", "expiresAt": "2099-01-01T00:00:00Z"}, ROOT, 201, ""),
    ],
)
def test_what_a_new_key_may_be(
    running: LocalServer, content: Any, login: tuple[str, str], status: int, error: str
) -> None:
    answer = send(running, "POST", "/api/keys", content, login)
    assert answer.status == status, answer.body
    if error:
        assert error in answer.json["error"] and answer.json["errors"] == [answer.json["error"]]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_form_of_another_site_makes_no_key(running: LocalServer) -> None:
    body = json.dumps({"name": "a"}).encode()
    for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415)):
        answer = running.request("POST", "/api/keys", body, {"Content-Type": kind}, ROOT)
        assert answer.status == status
    site = {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}
    assert running.request("POST", "/api/keys", body, site, ROOT).status == 403


@pytest.mark.slow
def test_a_key_is_listed_rotated_and_revoked(running: LocalServer) -> None:
    first = make_key(running, {"name": "eu", "user": "todd", "ttlSeconds": 1000})
    assert "key" not in send(running, "GET", f"/api/keys/{first['id']}").json
    (listed,) = send(running, "GET", "/api/keys?user=todd").json
    assert listed == {name: first[name] for name in first if name != "key"}
    again = send(running, "POST", "/api/keys", {"name": "eu", "user": "todd"})
    assert again.status == 409
    path = f"/api/keys/{first['id']}"
    second = send(running, "POST", f"{path}/rotate", {"graceSeconds": 600}).json
    running.secrets.add(second["key"])
    assert second["previousUntil"] and second["id"] == first["id"]
    for text in (first["key"], second["key"]):
        assert send(running, "GET", "/api/whoami", login=text).status == 200
    assert send(running, "DELETE", f"{path}/previous").status == 204
    assert send(running, "GET", "/api/whoami", login=first["key"]).status == 401
    assert send(running, "DELETE", path).status == 204
    for method in ("GET", "DELETE"):
        assert send(running, method, path).status == 404
    answer = send(running, "GET", "/query?q=SHOW+DATABASES", login=second["key"])
    assert (answer.status, answer.error) == (401, "API key revoked")
    statements = [record.statement for record in audit_records(running)]
    assert f"-- key {first['id']} eu of todd revoked" in statements
    assert not any(first["key"][4:] in text for text in statements)


@pytest.mark.slow
def test_keys_of_another_user_are_not_there(running: LocalServer) -> None:
    mine = make_key(running, {"name": "a", "user": "todd"})
    theirs = make_key(running, {"name": "a", "user": "ann"})
    assert [key["id"] for key in send(running, "GET", "/api/user/keys", login=TODD).json] == [
        mine["id"]
    ]
    for base in ("/api/keys", "/api/user/keys"):
        for method, suffix in (("DELETE", ""), ("POST", "/rotate"), ("DELETE", "/previous")):
            path = f"{base}/{theirs['id']}{suffix}"
            assert send(running, method, path, login=TODD).status == 404, path
    assert send(running, "GET", "/api/keys", login=TODD).status == 403
    for path in ("/api/keys/x", "/api/keys/", "/api/keys/1/", "/api/keys//1", "/api/keys/%31"):
        assert send(running, "GET", path).status == 404, path
    assert send(running, "DELETE", f"/api/user/keys/{mine['id']}", login=TODD).status == 204


def test_a_key_is_no_person(running: LocalServer) -> None:
    key = make_key(running, {"name": "a", "role": "Admin"})["key"]
    for method, path in (
        ("GET", "/api/user"),
        ("GET", "/api/user/keys"),
        ("POST", "/api/user/keys"),
        ("GET", "/api/user/sessions"),
        ("POST", "/api/session"),
    ):
        answer = send(running, method, path, {} if path == "/api/user" else None, key)
        assert (answer.status, answer.json["error"]) == (403, "an API key is not a person"), path


@pytest.mark.slow
def test_failures_by_keys_are_throttled_and_delay_no_valid_login(running: LocalServer) -> None:
    key = make_key(running, {"name": "a", "user": "todd"})["key"]
    revoked = make_key(running, {"name": "b", "user": "todd"})
    assert send(running, "DELETE", f"/api/keys/{revoked['id']}").status == 204
    answers = [send(running, "GET", "/api/whoami", None, revoked["key"]) for _ in range(25)]
    assert {answer.status for answer in answers} == {401}
    assert answers[0].error == "API key revoked"
    assert answers[-1].headers["Retry-After"]
    assert send(running, "GET", "/api/whoami", None, key).status == 200
    assert send(running, "GET", "/api/whoami", None, TODD).status == 200  # its first login


@pytest.mark.slow
def test_the_last_use_is_stored_without_a_change(running: LocalServer) -> None:
    key = make_key(running, {"name": "a", "user": "todd"})
    before = len(audit_records(running))
    assert send(running, "GET", "/api/whoami", login=key["key"]).status == 200

    def seen() -> bool:
        found = send(running, "GET", f"/api/keys/{key['id']}").json
        return bool(found["lastSeenAt"]) and found["lastAddress"] == "127.0.0.1"

    poll_until(seen, "the last use is never stored")
    assert len(audit_records(running)) == before


def test_lists_have_pages(running: LocalServer) -> None:
    keys = [make_key(running, {"name": f"k{number}"})["id"] for number in range(5)]
    seen, path = [], "/api/keys?limit=2"
    while path:
        answer = send(running, "GET", path)
        seen += [key["id"] for key in answer.json]
        link = answer.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else ""
    assert seen == keys
    for bad in ("limit=0", "limit=1001", "limit=x", "after=x"):
        assert send(running, "GET", f"/api/keys?{bad}").status == 400


def test_limits_of_keys_are_configured(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("API_KEY_MAX_SECONDS_TO_LIVE", "60"),
        ("MAX_KEYS_PER_USER", "2"),
        ("USER_KEYS", "false"),
    ):
        monkeypatch.setenv(f"HEADGATE_AUTH_{name}", value)
    server = serve().bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    answer = send(server, "POST", "/api/keys", {"name": "a"})
    assert answer.json["error"] == "Number of seconds before expiration should be set"
    for number, status in enumerate((201, 201, 409)):
        content = {"name": f"k{number}", "ttlSeconds": 60}
        assert send(server, "POST", "/api/keys", content).status == status
    answer = send(server, "POST", "/api/keys", {"name": "a", "ttlSeconds": 60}, TODD)
    assert answer.status == 403 and "user-keys is off" in answer.json["error"]
