"""What attacks on the console found, and what names of odd characters found."""

import re
import socket
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from headgate_engine import OutcomeUnknown
from headgate_engine.accounts.accounts import Accounts
from support.account_requests import COOKIE, make_key, send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text
from support.gateway_fixtures import configured, upstream
from support.local_server import LocalServer
from support.recorder_upstream import Heard, recorder
from support.servers import ROOT
from support.waiting import poll_until

Serve = Callable[..., LocalServer]
TODD, ANN = ("todd", "s3cret"), ("ann", "pw-ann-1")
SETUP = (
    "CREATE DATABASE shop; CREATE DATABASE logs; CREATE USER todd WITH PASSWORD 's3cret';"
    "CREATE USER ann WITH PASSWORD 'pw-ann-1'; GRANT READ ON shop TO todd"
)
BASIC = f"Basic {b64encode(b'root:Toor-1').decode()}"


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(SETUP)


@pytest.fixture
def root(running: LocalServer) -> Visitor:
    return Visitor(running, *ROOT)


@pytest.mark.slow
def test_names_of_databases_are_known_to_those_with_rights_on_them_only(root: Visitor) -> None:
    todd, ann = Visitor(root.server, *TODD), Visitor(root.server, *ANN)
    assert page_text(todd.get("/console/?format=csv")).split() == ["user,admin,shop", "todd,,READ"]
    assert page_text(ann.get("/console/?format=csv")).split() == ["user,admin", "ann,"]
    for path in ("/console/", "/console/?db=lo", "/console/keys/new", "/console/account"):
        assert ">logs<" not in page_text(todd.get(path)), path
    assert "0 databases" in page_text(ann.get("/console/?db=lo"))
    form = {"name": "a", "scope": "chosen", "grant.2": "nonsense"}
    assert "logs" not in page_text(todd.post("/console/keys/new", form))
    made = page_text(ann.post("/console/keys/new", {"name": "b", "scope": "READ"}))
    root.server.secrets.update(re.findall(r"hgk_\w{43}_\w{8}", made))
    assert 'database = "DATABASE"' in made


@pytest.mark.parametrize(
    "headers", [{"Authorization": BASIC}, {"Authorization": "Basic eDp5"}, {"Authorization": "x"}]
)
def test_a_login_that_the_browser_adds_does_not_replace_the_session(
    root: Visitor, headers: dict[str, str]
) -> None:
    assert root.get("/console/users", **headers).status == 200
    assert root.get("/console/users?u=root&p=Toor-1", **headers).status == 200
    assert Visitor(root.server).get("/console/users?u=root&p=Toor-1", **headers).status == 303


@pytest.mark.slow
def test_a_right_that_is_given_on_a_databases_page_changes_no_other(root: Visitor) -> None:
    root.server.query("GRANT READ ON logs TO todd")
    path, form = "/console/databases/1", {"user": "todd", "privilege": "WRITE"}
    assert root.post(path, form).status == 303
    assert audit_records(root.server)[-1].statement == "GRANT WRITE ON shop TO todd -- session 1"
    assert "Nothing to change." in page_text(root.follow(root.post(path, form)))
    assert root.post(path, form | {"privilege": "NONE"}).status == 303
    grants = root.server.query("SHOW GRANTS FOR todd").rows()
    assert grants == [["shop", "NO PRIVILEGES"], ["logs", "READ"]]


@pytest.mark.slow
def test_all_choices_of_a_refused_form_are_kept(root: Visitor) -> None:
    for number in range(110):
        root.server.query(f"CREATE DATABASE z{number:03}")
    form = {"revision": "old", "admin": "yes", "grant.112": "WRITE"}
    page = page_text(root.post("/console/users/2/rights?db=z109", form))
    assert re.search(r'name="admin" value="yes" checked', page)
    assert re.search(r'name="grant\.112" value="WRITE" checked', page)
    assert 'action="/console/users/2/rights?db=z109"' in page
    page = page_text(root.post("/console/users/2/rights", form))
    assert re.search(r'name="grant\.112" value="WRITE" checked', page)
    root.server.query("GRANT ALL PRIVILEGES TO todd")
    page = page_text(root.post("/console/users/2/rights", {"revision": "old"}))
    assert not re.search(r'name="admin" value="yes" checked', page), "the mark was taken away"
    page = page_text(
        root.post("/console/users/2/profile", {"email": "x", "full_name": "T", "verified": "yes"})
    )
    assert re.search(r'name="verified" value="yes" checked', page)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["users", "databases", "keys"])
def test_an_address_with_a_number_of_any_length_is_not_found(root: Visitor, name: str) -> None:
    for digits in ("9" * 19, "9" * 5000, "-1", "1e3", "٣"):
        path = f"/console/{name}/{digits.encode().hex() if digits == '٣' else digits}"
        answer = root.post(path, {}) if name == "keys" else root.get(path)
        assert (answer.status, answer.headers["Content-Type"][:9]) == (404, "text/html"), path[:40]


def test_a_client_that_leaves_is_no_fault(root: Visitor) -> None:
    with socket.create_connection(("127.0.0.1", root.server.port)) as connection:
        connection.sendall(
            b"POST /console/account HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Cookie: " + f"{COOKIE}={root.cookies[COOKIE]}".encode() + b"\r\n\r\nemail"
        )
    poll_until(lambda: "status=499" in root.server.log(), "it is written")


@pytest.mark.slow
def test_the_message_of_a_change_fits_into_a_cookie(root: Visitor) -> None:
    name = "長" * 340
    made = send(root.server, "POST", "/api/users", {"name": name})
    path = f"/console/users/{made.json['id']}/rights"
    page = page_text(root.get(f"/console/users/{made.json['id']}"))
    (revision,) = re.findall(r'name="revision" value="(\w+)"', page)
    answer = root.post(path, {"revision": revision, "grant.1": "READ", "grant.2": "READ"})
    assert answer.status == 303
    assert all(len(field) < 4096 for field in answer.headers.get_all("Set-Cookie", []))
    assert "Rights changed." in page_text(root.follow(answer))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a\nb", "c\rd", "n\x00l", "two  blanks", " at the ends ", "nb\xa0sp", "\u202erlo"]
)
def test_a_user_of_any_name_gets_a_key_and_is_dropped(root: Visitor, name: str) -> None:
    id = send(root.server, "POST", "/api/users", {"name": name}).json["id"]
    page = page_text(root.get(f"/console/users/{id}"))
    shown = re.search(r"<p><strong><bdi>(.*?)</bdi></strong> and their rights", page)
    assert shown is not None
    form = {"owner": id, "name": "a key", "scope": "READ", "lifetime": "week"}
    made = root.post("/console/keys/new", form)
    root.server.secrets.update(re.findall(r"hgk_\w{43}_\w{8}", page_text(made)))
    assert made.status == 200
    # A browser turns white space into blanks when a person copies what is shown.
    answer = root.post(f"/console/users/{id}/drop", {"confirm": " ".join(shown[1].split())})
    assert answer.status == 303
    assert audit_records(root.server)[-1].statement.startswith("DROP USER ")


def test_a_form_that_names_no_user_keeps_what_was_typed(root: Visitor) -> None:
    form = {"user": "nosuch", "name": "typed", "lifetime": "day", "scope": "READ"}
    answer = root.post("/console/keys/new", form)
    page = page_text(answer)
    assert answer.status == 404 and "user not found" in page
    assert 'value="nosuch"' in page and 'value="typed"' in page


def test_a_wrong_password_keeps_the_page_that_was_asked_for(running: LocalServer) -> None:
    form = {"username": "root", "password": "no", "redirect": "/console/users"}
    page = page_text(Visitor(running).post("/login", form))
    assert 'name="redirect" value="/console/users"' in page and 'value="root"' in page


@pytest.mark.slow
def test_what_is_refused_in_the_console_and_in_the_api_is_in_the_audit(root: Visitor) -> None:
    todd = Visitor(root.server, *TODD)
    assert todd.post("/console/users/2/drop", {"confirm": "todd"}).status == 403
    assert todd.post("/console/keys/new", {"name": "a", "scope": "admin"}).status == 403
    assert send(root.server, "POST", "/api/users", {"name": "x"}, TODD).status == 403

    def refused() -> list[tuple[str, str]]:
        found = audit_records(root.server)
        return [(it.statement, it.outcome) for it in found if it.actor == "todd"]

    required = "requires admin privilege"
    expected = {
        ("-- POST /console/users/2/drop", required),
        ("-- POST /api/users", required),
    }
    poll_until(lambda: expected <= set(refused()), "denials are written every second")
    assert any(text == "-- POST /console/keys/new" for text, _ in refused())


def test_a_list_is_paged_also_below_a_refused_form(serve: Serve) -> None:
    server = serve(HEADGATE_CONSOLE_PAGE_SIZE="1").bootstrap(SETUP)
    for name in ("a", "b"):
        make_key(server, {"name": name})
    root = Visitor(server, *ROOT)
    page = page_text(root.post("/console/keys/1", {"action": "nonsense"}))
    assert 'href="/console/keys?after=1"' in page


@pytest.mark.slow
def test_an_expired_key_gives_no_access(root: Visitor) -> None:
    make_key(root.server, {"name": "soon", "user": "todd", "ttlSeconds": 1})
    path = "/console/databases/1"
    poll_until(lambda: "soon" not in page_text(root.get(path)), "it expires after a second")


@pytest.mark.slow
def test_a_cell_of_the_csv_is_no_formula(root: Visitor) -> None:
    for name in ("=1+1", " =1+1", "＝1+1", "@x", "-1"):
        assert send(root.server, "POST", "/api/users", {"name": name}).status == 201
    lines = root.get("/console/?format=csv").body.decode().split("\r\n")
    assert {line.partition(",")[0] for line in lines} >= {
        *("'=1+1", "' =1+1", "'＝1+1", "'@x", "'-1"),
    }


@pytest.mark.slow
def test_behind_a_proxy_with_https_the_addresses_have_https(serve: Serve) -> None:
    server = serve(HEADGATE_HTTP_TRUSTED_PROXIES="127.0.0.1").bootstrap(SETUP)
    root = Visitor(server, *ROOT)
    headers = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.7", "Host": "hg.example"}
    form = {"user": "todd", "name": "a", "scope": "READ"}
    page = page_text(root.post("/console/keys/new", form, **headers))
    server.secrets.update(re.findall(r"hgk_\w{43}_\w{8}", page))
    assert "https://hg.example/api/whoami" in page and "http://" not in page
    for path in ("/console", "/console/users/"):
        answer = root.get(path, **headers)
        assert answer.headers.get("Location", "/").startswith("/")


def created(heard: Heard) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, b'{"results":[{"statement_id":0}]}'


@pytest.mark.parametrize("place", [{}, {"mount": "/influx"}])
def test_a_database_is_created_and_dropped_in_the_store_too(
    serve: Serve, tmp_path: Path, place: dict[str, str]
) -> None:
    with recorder(reply=created) as store:
        table = upstream("influxdb1", name="metrics", urls=[store.url], **place)
        server = configured(serve, tmp_path, table).bootstrap()
        root = Visitor(server, *ROOT)
        assert "also in the store" in page_text(root.get("/console/databases"))
        store.heard.clear()
        page = page_text(root.follow(root.post("/console/databases", {"name": "web"})))
        assert "Database created." in page
        (id,) = re.findall(r'href="/console/databases/(\d+)"', page)
        drop = {"action": "drop", "confirm": "web"}
        assert root.post(f"/console/databases/{id}", drop).status == 303
        sent = [parse_qs(heard.body.decode()).get("q", [""])[0] for heard in store.heard]
        assert [text.split(" WITH")[0] for text in sent] == [
            "CREATE DATABASE web",
            "DROP DATABASE web",
        ]


def test_below_the_path_of_a_store_there_is_no_console(serve: Serve, tmp_path: Path) -> None:
    with recorder(reply=created) as store:
        table = upstream("influxdb1", urls=[store.url], mount="/influx")
        server = configured(serve, tmp_path, table).bootstrap()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"username=root&password=Toor-1"
        assert server.request("POST", "/influx/login", body, form).status == 204
        for path in ("/influx/console/", "/influx/login"):
            assert server.request("GET", path).status == 404


def test_a_store_that_refuses_is_an_error_of_the_form(serve: Serve, tmp_path: Path) -> None:
    with recorder(reply=lambda heard: (500, {}, b"no")) as store:
        server = configured(serve, tmp_path, upstream("influxdb1", urls=[store.url])).bootstrap()
        root = Visitor(server, *ROOT)
        answer = root.post("/console/databases", {"name": "web"})
        assert answer.status >= 400 and "Database created." not in page_text(answer)
        assert send(server, "GET", "/api/access").json["databases"] == []


@pytest.mark.slow
def test_no_address_that_a_page_makes_has_a_login(serve: Serve) -> None:
    server = serve(HEADGATE_CONSOLE_PAGE_SIZE="1").bootstrap(SETUP)
    login = "u=root&p=Toor-1&auth_token=a.b.c"
    for path in ("/console/", "/console/users", "/console/audit", "/console/sessions"):
        page = page_text(Visitor(server, *ROOT).get(f"{path}?{login}"))
        assert "Toor-1" not in page and "a.b.c" not in page, path
        redirect = Visitor(server).get(f"{path}?name=t&{login}").headers["Location"]
        assert redirect.endswith("%3Fname%3Dt") and "Toor" not in redirect


def test_a_change_with_an_unknown_outcome_is_told_as_such(
    running: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Visitor(running, *ROOT)

    def fail(*arguments: object, **more: object) -> None:
        raise OutcomeUnknown("the change may have been made")

    monkeypatch.setattr(Accounts, "set_status", fail)
    answer = root.post("/console/users/2/status", {"status": "disabled"})
    assert answer.status == 500 and "the change may have been made" in page_text(answer)
    assert "Traceback" not in running.log() and "unexpected" not in running.log()
