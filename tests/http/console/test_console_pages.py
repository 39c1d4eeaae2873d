"""The pages of the console: which users may see them, what they show, and their headers."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from headgate_server import configure
from support.account_requests import make_key, send
from support.console_requests import Visitor, page_text
from support.local_server import LocalServer
from support.servers import ROOT, Server

TODD = ("todd", "s3cret")
ADMIN_PAGES = (
    "/console/users",
    "/console/users?state=never-seen&name=t",
    "/console/users/new",
    "/console/users/2",
    "/console/databases",
    "/console/databases/1",
    "/console/audit",
    "/console/audit?user=root&text=grant&refused=yes&since=2026-01-01&until=2099-01-01",
    "/console/keys?user=todd",
    "/console/keys/new?user=todd",
    "/console/sessions?user=todd",
)
ALL_PAGES = (
    "/console/",
    "/console/?name=t&db=s&from=9",
    "/console/?format=csv",
    "/console/keys",
    "/console/keys/new",
    "/console/sessions",
    "/console/account",
)
Serve = Callable[..., LocalServer]


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    server.bootstrap(
        "CREATE DATABASE shop; CREATE DATABASE logs; CREATE USER todd WITH PASSWORD 's3cret';"
        "GRANT READ ON shop TO todd"
    )
    return server


@pytest.fixture
def root(running: LocalServer) -> Visitor:
    return Visitor(running, *ROOT)


@pytest.fixture
def todd(running: LocalServer) -> Visitor:
    return Visitor(running, *TODD)


@pytest.mark.slow
def test_pages_for_administrators_are_forbidden_to_others(root: Visitor, todd: Visitor) -> None:
    make_key(root.server, {"name": "eu", "user": "todd"})
    for path in ALL_PAGES:
        assert (root.get(path).status, todd.get(path).status) == (200, 200), path
    for path in ADMIN_PAGES:
        others = 404 if path in ("/console/keys/new?user=todd",) else 403
        assert root.get(path).status == 200, path
        found = todd.get(path).status
        # Own keys and sessions are shown, whatever the parameter.
        own = path.startswith(("/console/keys", "/console/sessions"))
        assert found == (200 if own else others), path


def test_the_sign_in_page_leads_on_a_person_that_is_signed_in(
    running: LocalServer, todd: Visitor
) -> None:
    for path, target in (
        ("/login", "/console/"),
        ("/login?redirect=%2Fconsole%2Fkeys", "/console/keys"),
        ("/login?redirect=https%3A%2F%2Fevil.example%2F", "/console/"),
    ):
        answer = todd.get(path)
        assert (answer.status, answer.headers["Location"]) == (303, target)
    for path in ("/login?again=1", "/login?notice=ended", "/login?error=x"):
        assert todd.get(path).status == 200
    assert Visitor(running).get("/login").status == 200
    session = todd.get("/api/session").json["session"]["id"]
    (user,) = send(running, "GET", "/api/users?name=todd").json
    assert send(running, "DELETE", f"/api/users/{user['id']}/sessions/{session}").status < 300
    assert todd.get("/login").status == 200


@pytest.mark.slow
def test_a_person_without_the_admin_flag_sees_their_own_only(root: Visitor, todd: Visitor) -> None:
    key = make_key(root.server, {"name": "of root"})
    make_key(root.server, {"name": "of todd", "user": "todd"})
    keys = page_text(todd.get("/console/keys"))
    assert "of todd" in keys and "of root" not in keys
    assert todd.get("/console/keys?user=root").status == 404
    assert todd.get("/console/keys/new?user=root").status == 404
    access = page_text(todd.get("/console/"))
    assert ">todd<" in access and ">root<" not in access and "/console/users" not in access
    assert ">root<" not in page_text(todd.get("/console/sessions?user=root"))
    assert todd.post(f"/console/keys/{key['id']}", {"action": "revoke"}).status == 404


@pytest.mark.parametrize("path", [*ALL_PAGES, *ADMIN_PAGES])
def test_without_a_session_each_page_leads_to_the_sign_in_page(
    running: LocalServer, path: str
) -> None:
    anonymous = Visitor(running)
    answer = anonymous.get(path)
    assert (answer.status, answer.headers["Location"]) == (
        303,
        f"/login?redirect={quote(path, safe='')}",
    )
    assert anonymous.get(answer.headers["Location"]).status == 200
    # A password that the browser sends by itself is no sign-in.
    basic = running.request("GET", path, None, {}, ROOT)
    assert basic.status == 303
    # An API key is not a person.
    key = make_key(running, {"name": "a", "admin": True})["key"]
    assert running.request("GET", path, None, {"Authorization": f"Bearer {key}"}).status == 303


def test_a_person_signs_in_and_comes_back_to_the_page(running: LocalServer) -> None:
    visitor = Visitor(running)
    form = {"username": "root", "password": "wrong-1", "redirect": "/console/users?name=t"}
    wrong = visitor.post("/login", form)
    assert (wrong.status, not visitor.cookies) == (401, True)
    assert "Wrong user name or password." in page_text(wrong) and "wrong-1" not in page_text(wrong)
    answer = visitor.post("/login", form | {"password": ROOT[1]})
    assert (answer.status, answer.headers["Location"]) == (303, "/console/users?name=t")
    assert visitor.get("/console/users").status == 200
    out = visitor.post("/console/sign-out")
    assert (out.status, out.headers["Location"]) == (303, "/login?signed_out=1")
    assert not visitor.cookies and visitor.get("/console/users").status == 303
    assert "You have signed out." in page_text(visitor.get("/login?signed_out=1"))


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "http://evil.example/console/",
        "/console/%0d%0aSet-Cookie:x=1",
        "/console/\r\nSet-Cookie: x=1",
        "/console/../query",
        "/login",
        "javascript:alert(1)",
        "/console//evil.example@x",
    ],
)
def test_a_sign_in_leads_to_pages_of_the_console_only(running: LocalServer, target: str) -> None:
    form = {"username": "root", "password": ROOT[1], "redirect": target}
    answer = Visitor(running).post("/login", form)
    assert (answer.status, answer.headers["Location"]) == (303, "/console/")
    page = page_text(Visitor(running).get(f"/login?redirect={quote(target, safe='')}"))
    assert 'name="redirect" value="/console/"' in page


def test_every_page_has_the_headers_that_protect_it(root: Visitor) -> None:
    for path in ("/login?again=1", "/console/", "/console/nix", "/console/users/999"):
        headers = root.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.slow
def test_static_files_may_be_cached_by_the_hash_in_their_address(root: Visitor) -> None:
    page = page_text(root.get("/console/"))
    for name in ("console.css", "console.js", "icon.svg"):
        start = page.index(f"/console/static/{name}?v=")
        address = page[start : page.index('"', start)]
        answer = Visitor(root.server).get(address)
        assert answer.status == 200 and answer.body
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        old = Visitor(root.server).get(f"/console/static/{name}?v=0")
        assert (old.status, old.headers["Cache-Control"]) == (200, "no-store")
    for path in ("none.css", "../templates/base.html", "%2e%2e/rendering.py"):
        assert root.get(f"/console/static/{path}").status == 404


def test_errors_are_pages(root: Visitor) -> None:
    for path in ("/console/nix", "/console/users/999", "/console/databases/99", "/console/users/x"):
        answer = root.get(path)
        assert answer.status == 404 and "<h1>Not found</h1>" in page_text(answer), path
    assert root.post("/console/audit").status == 405
    assert root.server.request("DELETE", "/console/users").status == 405


def test_the_table_shows_what_each_user_may_do(root: Visitor) -> None:
    page = page_text(root.get("/console/"))
    assert "2 users in all · 2 databases" in page
    row = page[page.index(">todd<") :]
    cells = [part.partition("<")[0] for part in row.split('<a class="cell ')[1:]]
    assert [cell.partition(">")[2] for cell in cells] == ["–", "READ"]
    assert "No user has this in the name." in page_text(root.get("/console/?name=nix"))
    assert "No database has this in the name." in page_text(root.get("/console/?db=nix"))


@pytest.mark.slow
def test_the_table_is_paged_by_users_and_databases(serve: Serve) -> None:
    server = serve(HEADGATE_CONSOLE_PAGE_SIZE="3", HEADGATE_CONSOLE_DATABASES_SHOWN="2").bootstrap()
    for number in range(5):
        server.query(
            f"CREATE DATABASE d{number}; CREATE USER u{number} WITH PASSWORD 'pw-1-{number}'"
        )
    root = Visitor(server, *ROOT)
    page = page_text(root.get("/console/"))
    assert "databases 1–2 of 5" in page and ">d1<" in page and ">d2<" not in page
    assert ">root<" in page and ">u1<" in page and ">u2<" not in page
    further = page_text(root.get("/console/?after=u1&from=4"))
    assert "databases 5–5 of 5" in further and ">d4<" in further and ">u4<" in further
    assert "First page" in further
    csv = root.get("/console/?format=csv")
    assert csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert csv.body.decode().split("\r\n") == [
        "user,admin,d0,d1,d2,d3,d4",
        "root,yes,ALL,ALL,ALL,ALL,ALL",
        *(f"u{number},,,,,," for number in range(5)),
        "",
    ]


HOSTILE = (
    "<script>alert(1)</script>",
    '" onfocus="alert(1)',
    "{{ 7 * 7 }}",
    "\u202edlrow\u202c",
    "a\x1b[31mb\x07",
    "=HYPERLINK(1)",
    "n" * 1024,
    "../..//%2f?#&",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_on_every_page(root: Visitor, name: str) -> None:
    server = root.server
    made = send(server, "POST", "/api/users", {"name": name, "grants": {"shop": "READ"}})
    assert made.status == 201, made.body
    id = made.json["id"]
    make_key(
        server,
        {
            "name": name[:255].translate({0x1B: None, 7: None, 0x202E: None, 0x202C: None}),
            "user": name,
        },
    )
    pages = (
        *("/console/", "/console/users", f"/console/users/{id}", "/console/databases/1"),
        *("/console/keys", f"/console/keys?user={quote(name)}", "/console/audit"),
        f"/console/keys/new?user={quote(name)}",
        f"/console/audit?user={quote(name)}&text={quote(name)}",
        f"/console/?name={quote(name)}&db={quote(name)}",
        f"/console/sessions?user={quote(name)}",
    )
    for path in pages:
        answer = root.get(path)
        assert answer.status == 200, path
        body = answer.body.decode()
        assert "<script>alert" not in body and '" onfocus="' not in body
        # The value of a field is the name itself: a form sends it back.
        assert not set("\x1b\x07\u202d\u202c") & set(re.sub('value="[^"]*"', "", body)), path
    csv = root.get("/console/?format=csv").body.decode()
    assert "\n=HYPERLINK" not in csv and "\x1b" not in csv


@pytest.mark.parametrize(
    ("flags", "environment", "is_served"),
    [
        ((), {}, True),
        ((), {"HEADGATE_CONSOLE_ENABLED": "false"}, False),
        (("--bind", "0.0.0.0:0"), {}, False),
        (("--bind", "0.0.0.0:0"), {"HEADGATE_CONSOLE_ENABLED": "true"}, True),
    ],
)
def test_the_console_is_on_where_passwords_are_safe(
    flags: tuple[str, ...], environment: dict[str, str], is_served: bool
) -> None:
    found = configure({"http.bind-address": flags[1] if flags else None}, environment, None)
    assert found.settings.serves_console() is is_served


def test_without_the_console_its_paths_are_not_found(serve: Serve) -> None:
    server = serve(HEADGATE_CONSOLE_ENABLED="false").bootstrap()
    for path in ("/console", "/console/", "/console/static/console.css", "/login"):
        assert server.request("GET", path).status == 404, path
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/login", b"username=root&password=Toor-1", form).status == 204


def test_without_logins_the_pages_are_open_and_no_person_is_signed_in(serve: Serve) -> None:
    server: Server = serve("--no-auth")
    server.query("CREATE DATABASE shop", None)
    visitor = Visitor(server)
    page = page_text(visitor.get("/console/databases/1"))
    assert "Authentication is off" in page
    assert visitor.get("/console/account").status == 403
    form = {"user": "nix", "privilege": "READ"}
    answer = visitor.post("/console/databases/1", form)
    assert answer.status == 400 and "There is no user nix." in page_text(answer)
    assert visitor.post("/console/databases", {"name": "logs"}).status == 303
    for site in ("cross-site", "same-site"):
        answer = visitor.post("/console/databases", {"name": "x"}, Sec_Fetch_Site=site)
        assert answer.status == 403
    assert server.query("SHOW DATABASES", None).rows() == [["shop"], ["logs"]]


def test_before_there_are_users_the_sign_in_page_says_how_to_create_one(server: Server) -> None:
    visitor = Visitor(server)
    page = page_text(visitor.follow(visitor.get("/console/users")))
    assert "CREATE USER root WITH PASSWORD 'a good one' WITH ALL PRIVILEGES" in page
    assert 'name="password"' not in page
