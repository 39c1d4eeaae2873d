"""/api/access: which users an administrator sees, page by page, and the refusals of others."""

import pytest

from support.local_server import LocalServer
from support.servers import ROOT

TODD = ("todd", "Todd-1")


@pytest.fixture
def full(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE a; CREATE DATABASE \"b é\"; CREATE USER todd WITH PASSWORD 'Todd-1';"
        "CREATE USER ann WITH PASSWORD 'Ann-1'; GRANT READ ON a TO todd; GRANT ALL ON a TO ann;"
        'GRANT WRITE ON "b é" TO ann; REVOKE ALL ON "b é" FROM ann'
    )


def entry(id: str, name: str, **more: object) -> dict[str, object]:
    """Returns the entry of a user that is not disabled."""
    key = "user" if "privilege" in more else "name"
    return {"id": id, key: name, "admin": name == "root", "is_disabled": False, **more}


def test_an_administrator_sees_all_users_and_grants(full: LocalServer) -> None:
    answer = full.request("GET", "/api/access", basic=ROOT)
    users = [
        entry("1", "root", grants={}),
        entry("2", "todd", grants={"a": "READ"}),
        entry("3", "ann", grants={"a": "ALL PRIVILEGES"}),
    ]
    assert (answer.status, answer.json) == (200, {"databases": ["a", "b é"], "users": users})


def test_a_database_has_the_users_with_access_to_it(full: LocalServer) -> None:
    root = entry("1", "root", privilege="ALL PRIVILEGES")
    assert full.request("GET", "/api/access?database=a", basic=ROOT).json == [
        root,
        entry("2", "todd", privilege="READ"),
        entry("3", "ann", privilege="ALL PRIVILEGES"),
    ]
    assert full.request("GET", "/api/access?database=b%20%C3%A9", basic=ROOT).json == [root]


def test_pages_follow_each_other(full: LocalServer) -> None:
    names, after = [], "0"
    while True:
        page = full.request("GET", f"/api/access?limit=2&after={after}", basic=ROOT).json["users"]
        if not page:
            break
        names += [user["name"] for user in page]
        after = page[-1]["id"]
    assert names == ["root", "todd", "ann"]
    (one,) = full.request("GET", "/api/access?name=todd", basic=ROOT).json["users"]
    assert one["name"] == "todd"


@pytest.mark.parametrize(
    ("path", "login", "status", "error"),
    [
        ("", TODD, 403, "todd not authorized to execute statement 'GET /api/access'"),
        ("?database=a", TODD, 403, "requires admin privilege"),
        ("", ("todd", "wrong"), 401, "authorization failed"),
        ("", None, 401, "unable to parse authentication credentials"),
        ("?database=none", ROOT, 404, "database not found: none"),
        ("?name=none", ROOT, 404, "user not found"),
        ("?limit=x", ROOT, 400, "limit: expected a number"),
        ("?after=-1", ROOT, 400, "after: expected a number"),
        ("?after=%D9%A1", ROOT, 400, "after: expected a number"),
        (f"?limit={'9' * 40}", ROOT, 400, "limit: expected a number"),
    ],
)
def test_others_and_invalid_parameters_are_refused(
    full: LocalServer, path: str, login: tuple[str, str] | None, status: int, error: str
) -> None:
    answer = full.request("GET", f"/api/access{path}", basic=login)
    assert answer.status == status and error in answer.json["error"]
    assert full.request("POST", "/api/access", basic=ROOT).status == 405


def test_before_the_first_administrator_nothing_is_shown(server: LocalServer) -> None:
    assert server.request("GET", "/api/access").status == 401
