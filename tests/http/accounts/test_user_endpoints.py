"""Users as accounts over HTTP: created, changed, disabled and dropped by administrators."""

from typing import Any

import pytest

from support.account_requests import encoded, make_key, send, sign_in
from support.audit_records import audit_records
from support.local_server import LocalServer

TODD = ("todd", "s3cret")


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE shop; CREATE DATABASE bank; CREATE USER todd WITH PASSWORD 's3cret';"
        "GRANT READ ON shop TO todd"
    )


def id_of(server: LocalServer, name: str) -> str:
    (found,) = send(server, "GET", f"/api/users?name={name}").json
    return str(found["id"])


def test_a_user_is_created_shown_changed_and_dropped(running: LocalServer) -> None:
    content = {
        "name": "änn",
        "password": encoded("Ann-1"),
        "email": "ann@example.com",
        "emailVerified": True,
        "fullName": "Änn",
        "grants": {"shop": "ALL", "bank": "READ"},
    }
    answer = send(running, "POST", "/api/users", content)
    assert answer.status == 201, answer.body
    user = answer.json
    assert user["role"] == "Editor" and user["emailVerified"] and user["hasPassword"]
    assert user["grants"] == {"shop": "ALL PRIVILEGES", "bank": "READ"}
    assert user["createdAt"] and not user["isDisabled"] and not user["isExternal"]
    assert running.query("SHOW DATABASES", ("änn", "Ann-1")).rows() == [["shop"], ["bank"]]
    path = f"/api/users/{user['id']}"
    assert send(running, "GET", path).json["name"] == "änn"
    changed = send(running, "PATCH", path, {"email": "a@b", "fullName": ""}).json
    assert (changed["email"], changed["emailVerified"], changed["fullName"]) == ("a@b", False, "")
    assert send(running, "DELETE", path).status == 204
    assert send(running, "GET", path).status == 404
    statements = [record.statement for record in audit_records(running)]
    assert "@" not in "".join(statements)
    grants = 'GRANT READ ON bank TO "änn"; GRANT ALL PRIVILEGES ON shop TO "änn"'
    assert f'CREATE USER "änn" WITH PASSWORD [REDACTED]; {grants}' in statements


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        ({"name": "todd"}, 409, "user already exists"),
        ({"name": ""}, 400, "username required"),
        ({"name": "x" * 1025}, 400, "username too long"),
        ({"name": "x", "password": "?"}, 400, "password: expected Base64 of UTF-8"),
        ({"name": "x", "password": encoded("a\0b")}, 400, "NUL"),
        ({"name": "x", "email": "nonsense"}, 400, "email: expected an address"),
        ({"name": "x", "email": "a b@c"}, 400, "email: a blank"),
        ({"name": "x", "fullName": "a\nb"}, 400, "fullName: a control character"),
        ({"name": "x", "fullName": "x" * 256}, 400, "fullName: at most 255"),
        ({"name": "x", "emailVerified": "yes"}, 400, "emailVerified: expected true or false"),
        ({"name": "x", "role": "King"}, 400, "role: expected Admin"),
        ({"name": "x", "role": "Editor", "grants": {}}, 400, "role: expected no grants"),
        ({"name": "x", "databases": ["shop"]}, 400, "databases: expected a role beside it"),
        ({"name": "x", "role": "Editor", "databases": ["nix"]}, 404, "database not found: nix"),
        ({"name": "x", "role": "Editor", "databases": [5]}, 400, "databases: expected a list"),
        ({"name": "x", "passwrod": ""}, 400, "did you mean password?"),
    ],
)
def test_a_user_that_cannot_be_is_refused(
    running: LocalServer, content: Any, status: int, error: str
) -> None:
    answer = send(running, "POST", "/api/users", content)
    assert answer.status == status and error in answer.json["error"], answer.body
    assert [row[0] for row in running.query("SHOW USERS").rows()] == ["root", "todd"]


@pytest.mark.parametrize(
    ("role", "databases", "admin", "grants"),
    [
        ("Admin", None, True, {}),
        ("GrafanaAdmin", None, True, {}),
        ("editor", None, False, {"shop": "ALL PRIVILEGES", "bank": "ALL PRIVILEGES"}),
        ("Agent", ["bank"], False, {"bank": "WRITE"}),
        ("Viewer", ["*"], False, {"shop": "READ", "bank": "READ"}),
        ("ReadOnly", [], False, {}),
        ("None", None, False, {}),
    ],
)
def test_a_role_is_a_shorthand_for_rights(
    running: LocalServer,
    role: str,
    databases: list[str] | None,
    admin: bool,
    grants: dict[str, str],
) -> None:
    content: dict[str, Any] = {"role": role}
    if databases is not None:
        content["databases"] = databases
    path = f"/api/users/{id_of(running, 'todd')}"
    assert send(running, "PUT", f"{path}/role", content).status == 204
    found = send(running, "GET", path).json
    assert (found["admin"], found["grants"]) == (admin, grants)


def test_grants_are_replaced_in_one_transaction(running: LocalServer) -> None:
    path = f"/api/users/{id_of(running, 'todd')}/grants"
    found = send(running, "PUT", path, {"grants": {"bank": "WRITE"}}).json
    assert found["grants"] == {"bank": "WRITE"} and not found["admin"]
    record = audit_records(running)[-1].statement
    assert record == "GRANT WRITE ON bank TO todd; REVOKE ALL PRIVILEGES ON shop FROM todd"
    assert send(running, "PUT", path, {"admin": True, "grants": {}}).json["admin"]
    for content, status in (
        ({"grants": {"nix": "READ"}}, 404),
        ({"grants": []}, 400),
        ({"admin": False}, 400),
        ({"grants": {}, "admin": 1}, 400),
    ):
        assert send(running, "PUT", path, content).status == status
    assert send(running, "GET", path.removesuffix("/grants")).json["admin"]


@pytest.mark.slow
def test_an_administrator_changes_others_and_not_the_own_account(running: LocalServer) -> None:
    root, todd = id_of(running, "root"), id_of(running, "todd")
    for method, suffix, content in (
        ("DELETE", "", None),
        ("PUT", "/disable", None),
        ("PUT", "/role", {"role": "None"}),
        ("PUT", "/password", {"password": encoded("x")}),
    ):
        answer = send(running, method, f"/api/users/{root}{suffix}", content)
        assert answer.status == 403 and "your own account" in answer.json["error"], suffix
        assert send(running, method, f"/api/users/{todd}{suffix}", content, TODD).status == 403
        assert send(running, method, f"/api/users/999{suffix}", content).status == 404
    running.query("CREATE USER ann WITH PASSWORD 'Ann-1' WITH ALL PRIVILEGES")
    ann = ("ann", "Ann-1")
    assert send(running, "PUT", f"/api/users/{root}/disable", None, ann).status == 204
    answer = send(
        running,
        "PUT",
        f"/api/users/{id_of_as(running, 'ann', ann)}/grants",
        {
            "admin": False,
            "grants": {},
        },
        ann,
    )
    assert answer.status == 409 and answer.json["error"] == "cannot remove the last admin user"


def id_of_as(server: LocalServer, name: str, login: tuple[str, str]) -> str:
    (found,) = send(server, "GET", f"/api/users?name={name}", None, login).json
    return str(found["id"])


@pytest.mark.slow
def test_a_disabled_user_is_refused_on_every_way(running: LocalServer) -> None:
    key = make_key(running, {"name": "k", "user": "todd"})["key"]
    token = sign_in(running, *TODD)
    path = f"/api/users/{id_of(running, 'todd')}"
    assert running.query("SHOW DATABASES", TODD).status == 200  # remembered from now on
    assert send(running, "PUT", f"{path}/disable").status == 204
    wrong = running.query("SHOW DATABASES", ("todd", "wrong"))
    for answer in (
        running.query("SHOW DATABASES", TODD),
        send(running, "GET", "/api/whoami", None, key),
    ):
        assert (answer.status, answer.body) == (401, wrong.body)
    answer = send(running, "GET", "/api/whoami", cookie=token)
    assert (answer.status, answer.error) == (401, "session revoked")
    assert send(running, "POST", "/login", {"user": "todd", "password": "s3cret"}, None).status == (
        401
    )
    (found,) = send(running, "GET", "/api/users?disabled=true").json
    assert found["name"] == "todd" and found["isDisabled"] and found["grants"] == {"shop": "READ"}
    assert ["todd", False] in running.query("SHOW USERS").rows()
    assert send(running, "PUT", f"{path}/enable").status == 204
    assert running.query("SHOW DATABASES", TODD).status == 200
    assert send(running, "GET", "/api/whoami", None, key).status == 200
    assert send(running, "GET", "/api/whoami", cookie=token).status == 401
    answer = send(running, "PUT", f"{path}/approve", {})
    assert (answer.status, answer.json["error"]) == (409, "not pending")


def test_a_service_account_has_keys_and_no_password(running: LocalServer) -> None:
    user = send(running, "POST", "/api/users", {"name": "agent", "role": "Agent"}).json
    assert not user["hasPassword"] and not user["isExternal"]
    key = make_key(running, {"name": "k", "user": "agent"})["key"]
    assert send(running, "GET", "/api/whoami", None, key).json["grants"] == {
        "shop": "WRITE",
        "bank": "WRITE",
    }
    for password in ("", "*no password*"):
        answer = send(running, "POST", "/api/session", {"user": "agent", "password": password})
        assert answer.status in (400, 401)
    assert send(running, "GET", f"/api/users/{user['id']}/keys").json[0]["name"] == "k"
    assert send(running, "DELETE", f"/api/users/{user['id']}/keys").json == {"revoked": 1}
    assert send(running, "GET", "/api/whoami", None, key).status == 401


def test_one_s_own_account_is_shown_and_changed(running: LocalServer) -> None:
    running.query("CREATE USER ann WITH PASSWORD 'Ann-1'")
    own = send(running, "GET", "/api/user", None, TODD).json
    assert own["name"] == "todd" and own["role"] == "ReadOnly"
    changed = send(running, "PATCH", "/api/user", {"email": "t@x.example"}, TODD).json
    assert changed["email"] == "t@x.example" and not changed["emailVerified"]
    answer = send(running, "PATCH", "/api/user", {"name": "ann"}, TODD)
    assert (answer.status, answer.json["error"]) == (400, "user names cannot be changed")
    assert send(running, "PATCH", "/api/user", {"admin": True}, TODD).status == 400
    assert send(running, "GET", "/api/users", None, TODD).status == 403
    assert send(running, "GET", f"/api/users/{own['id']}", None, TODD).status == 403


def test_users_have_pages_and_prefixes(running: LocalServer) -> None:
    for number in range(5):
        running.query(f"CREATE USER u{number} WITH PASSWORD 's3cret'")
    seen, path = [], "/api/users?name=u&limit=2"
    while path:
        answer = send(running, "GET", path)
        seen += [user["name"] for user in answer.json]
        link = answer.headers.get("Link", "")
        path = link[1 : link.index(">")] if link else ""
    assert seen == [f"u{number}" for number in range(5)]


def test_without_authentication_there_is_no_own_account(serve: Any) -> None:
    server = serve("--no-auth")
    assert send(server, "GET", "/api/user", None, None).status == 403
    assert send(server, "POST", "/api/users", {"name": "a"}, None).status == 201
    assert send(server, "POST", "/api/session", None, None).status == 403


def test_administrators_read_the_audit(running: LocalServer) -> None:
    running.query("CREATE USER ann WITH PASSWORD 'Ann-1'")
    records = send(running, "GET", "/api/audit").json
    assert records[-1]["statement"] == "CREATE USER ann WITH PASSWORD [REDACTED]"
    assert records == sorted(records, key=lambda one: one["id"])
    page = send(running, "GET", f"/api/audit?after={records[0]['id']}&limit=1").json
    assert [one["id"] for one in page] == [records[1]["id"]]
    assert {one["actor"] for one in send(running, "GET", "/api/audit?user=root").json} == {"root"}
    assert send(running, "GET", "/api/audit?since=2999").json == []
    assert send(running, "GET", "/api/audit", None, TODD).status == 403
