"""A proxy in front that names the user, requests without a login, and passwords switched off."""

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.account_requests import COOKIE, make_key, send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text
from support.local_server import LocalServer
from support.servers import ROOT, Answer
from support.waiting import poll_until

Serve = Callable[..., LocalServer]
USER = "X-WEBAUTH-USER"
PROXY = '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\n'
MORE = (
    'headers = "Name:X-WEBAUTH-NAME Email:X-WEBAUTH-EMAIL Groups:X-WEBAUTH-GROUPS'
    ' Role:X-WEBAUTH-ROLE"\n'
)


@pytest.fixture
def start(serve: Serve, tmp_path: Path) -> Callable[..., LocalServer]:
    """Starts a server with these lines in its file, and the administrator root."""

    def started(text: str, **environment: str) -> LocalServer:
        path = tmp_path / "headgate.toml"
        path.write_text(text, "utf-8")
        return serve("--config", str(path), **environment).bootstrap("CREATE DATABASE shop")

    return started


def whoami(server: LocalServer, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("GET", "/api/whoami", None, sent)


def test_a_user_that_the_proxy_names_is_signed_in(start: Callable[..., LocalServer]) -> None:
    server = start(PROXY)
    answer = whoami(server, X_WEBAUTH_USER="ann")
    assert (answer.json["name"], answer.json["method"]) == ("ann", "proxy")
    assert not answer.headers.get("Set-Cookie")
    records = [it for it in audit_records(server) if "CREATE USER ann" in it.statement]
    assert [it.actor for it in records] == ["proxy proxy ann"]
    # Rights are given as to any user.
    server.query("GRANT READ ON shop TO ann", ROOT)
    shown = server.request("GET", "/query?q=SHOW%20DATABASES", None, {USER: "ann"})
    assert b"shop" in shown.body


def test_groups_and_roles_of_the_proxy_give_rights(start: Callable[..., LocalServer]) -> None:
    mapping = 'db-mapping = ["ops:shop:WRITE"]\nallow-assign-admin = true\n'
    server = start(PROXY + MORE + mapping)
    headers = {
        USER: "ann",
        "X-WEBAUTH-NAME": "Ann Archer",
        "X-WEBAUTH-EMAIL": "ann@example.com",
        "X-WEBAUTH-GROUPS": "staff, ops",
    }
    assert server.request("GET", "/api/whoami", None, headers).json["grants"] == {"shop": "WRITE"}
    found = send(server, "GET", "/api/users?name=ann").json[0]
    assert (found["email"], found["fullName"]) == ("ann@example.com", "Ann Archer")
    # Equal headers change nothing for a while: an administrator may give more.
    server.query("GRANT ALL ON shop TO ann", ROOT)
    again = server.request("GET", "/api/whoami", None, headers).json
    assert again["grants"] == {"shop": "ALL PRIVILEGES"}
    changed = server.request("GET", "/api/whoami", None, headers | {"X-WEBAUTH-GROUPS": "staff"})
    assert changed.json["grants"] == {}
    boss = server.request("GET", "/api/whoami", None, headers | {"X-WEBAUTH-ROLE": "admin"})
    assert boss.json["admin"] is True


FORGED: dict[str, list[tuple[str, str]]] = {
    "twice": [(USER, "ann"), (USER, "root")],
    "another spelling beside it": [(USER, "ann"), ("X_WEBAUTH_USER", "root")],
    "another spelling alone": [("X_WEBAUTH_USER", "root")],
    "dots": [("X.WEBAUTH.USER", "root")],
    "empty": [(USER, "")],
    "too long": [(USER, "x" * 1025)],
    "no UTF-8": [(USER, "\xff\xfe")],
    "control characters": [(USER, "a\tb")],
    "a user with a password": [(USER, "root")],
}


@pytest.mark.parametrize("fields", FORGED.values(), ids=FORGED.keys())
def test_what_names_no_user(
    start: Callable[..., LocalServer], fields: list[tuple[str, str]]
) -> None:
    server = start(PROXY)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("GET", "/api/whoami")
    for name, value in fields:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 401, response.read()
    connection.close()
    assert len(send(server, "GET", "/api/users").json) == 1


@pytest.mark.slow
def test_the_header_of_another_peer_is_a_login_that_fails(
    start: Callable[..., LocalServer],
) -> None:
    server = start(PROXY.replace("127.0.0.1", "10.0.0.0/8"))
    answer = whoami(server, X_WEBAUTH_USER="ann")
    assert (answer.status, answer.json["error"]) == (401, "authorization failed")

    def is_recorded() -> bool:
        return any(it.statement == "-- login (proxy)" for it in audit_records(server))

    poll_until(is_recorded, "the failed login is not in the audit")
    # A login of one's own counts.
    assert server.request("GET", "/api/whoami", None, {USER: "x"}, ROOT).json["name"] == "root"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "user", "actor", "reason"),
    [
        (
            "",
            "root",
            "root",
            "there is a user of this name without this identity; see adopt-existing",
        ),
        ("allow-sign-up = false\n", "ann", "", "the user is new, and allow-sign-up is off"),
    ],
)
def test_the_log_and_the_audit_say_why_a_user_of_the_proxy_is_refused(
    start: Callable[..., LocalServer], option: str, user: str, actor: str, reason: str
) -> None:
    server = start(PROXY + option)
    answer = whoami(server, X_WEBAUTH_USER=user)
    assert (answer.status, answer.json) == (401, {"error": "authorization failed"})
    assert f"authorization failed: {reason}" in server.log()

    def recorded() -> bool:
        refused = [it for it in audit_records(server) if reason in it.outcome]
        return [(it.actor, it.statement) for it in refused] == [(actor, "-- login (proxy)")]

    poll_until(recorded, "the audit has no such login")


def test_other_credentials_come_before_the_header_and_cookies_after_it(
    start: Callable[..., LocalServer],
) -> None:
    server = start(PROXY)
    key = make_key(server, {"name": "k", "role": "Viewer"})["key"]
    cases: list[tuple[dict[str, str], str, int]] = [
        ({"Authorization": f"Bearer {key}"}, "root", 200),
        ({"Authorization": "Basic eDp5"}, "", 401),
        ({"Cookie": f"{COOKIE}=bad"}, "ann", 200),
    ]
    for headers, user, status in cases:
        answer = server.request("GET", "/api/whoami", None, headers | {USER: "ann"})
        assert answer.status == status and (status != 200 or answer.json["name"] == user), headers


def test_a_proxied_browser_is_protected_from_other_sites(
    start: Callable[..., LocalServer],
) -> None:
    server = start(PROXY)
    cross = {USER: "ann", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert server.request("POST", "/query", b"q=SHOW DATABASES", cross).status == 403
    link = {USER: "ann", "User-Agent": "Mozilla/5.0"}
    whoami(server, X_WEBAUTH_USER="ann")
    server.query("GRANT ALL PRIVILEGES TO ann", ROOT)
    by_get = server.request("GET", "/query?q=CREATE%20DATABASE%20x", None, link)
    assert by_get.status in (403, 405)
    assert b'"x"' not in server.query("SHOW DATABASES", ROOT).body


def test_the_console_knows_the_user_of_the_proxy(start: Callable[..., LocalServer]) -> None:
    server = start(PROXY)
    visitor = Visitor(server)
    page = visitor.get("/console/account", X_WEBAUTH_USER="ann")
    assert page.status == 200 and "ann" in page_text(page)
    assert "Sign out" not in page_text(page) and not visitor.cookies
    begun = send(server, "POST", "/api/session", None, None, headers={USER: "ann"})
    assert begun.status == 403


def test_a_login_token_serves_paths_without_the_header(start: Callable[..., LocalServer]) -> None:
    server = start(PROXY + "enable-login-token = true\n")
    visitor = Visitor(server)
    visitor.get("/api/whoami", X_WEBAUTH_USER="ann")
    first = visitor.cookies[COOKIE]
    visitor.get("/api/whoami", X_WEBAUTH_USER="ann")
    assert visitor.cookies[COOKIE] == first
    assert visitor.get("/api/whoami").json["name"] == "ann"
    visitor.get("/api/whoami", X_WEBAUTH_USER="bob")
    assert visitor.get("/api/whoami").json["name"] == "bob"
    answer = server.request("GET", "/api/whoami", None, {"Cookie": f"{COOKIE}={first}"})
    assert answer.status == 401


def test_encoded_headers_are_decoded(start: Callable[..., LocalServer]) -> None:
    server = start(PROXY + "headers-encoded = true\n")
    assert whoami(server, X_WEBAUTH_USER="J=C3=BCrgen").json["name"] == "Jürgen"


ANONYMOUS = '[auth.anonymous]\nenabled = true\nuser = "guest"\n'


def guest(server: LocalServer, text: str) -> Answer:
    return server.request("GET", f"/query?q={text.replace(' ', '%20')}", None, {})


@pytest.mark.slow
def test_requests_without_a_login_read_as_the_guest(start: Callable[..., LocalServer]) -> None:
    server = start(ANONYMOUS)
    server.query("CREATE DATABASE logs; CREATE USER guest WITH PASSWORD 'pw-guest-1'", ROOT)
    server.query("GRANT ALL ON shop TO guest", ROOT)
    answer = whoami(server)
    assert (answer.json["name"], answer.json["method"]) == ("guest", "anonymous")
    assert answer.json["grants"] == {"shop": "READ"}
    shown = guest(server, "SHOW DATABASES")
    assert b"shop" in shown.body and b"logs" not in shown.body
    # Not on paths that write or are of a person, and no invalid login becomes one.
    assert server.request("POST", "/write?db=shop", b"m v=1", {}).status == 401
    for path in ("/api/user", "/api/user/keys", "/api/keys", "/api/users", "/api/session"):
        assert server.request("GET", path, None, {}).status == 401, path
    bad: list[dict[str, str]] = [
        {"Authorization": "Basic eDp5"},
        {"Authorization": "nonsense"},
        {"Cookie": f"{COOKIE}=bad"},
    ]
    for headers in bad:
        assert server.request("GET", "/api/whoami", None, headers).status == 401, headers
    for query in ("u=x", "u=guest&p=wrong"):
        assert server.request("GET", f"/api/whoami?{query}", None, {}).status == 401, query
    assert Visitor(server).get("/console/").status == 303
    begun = send(server, "POST", "/api/session", None, None)
    assert begun.status == 401


@pytest.mark.parametrize(
    "change", ["GRANT ALL PRIVILEGES TO guest", "DROP USER guest"], ids=["admin", "dropped"]
)
def test_a_guest_that_may_not_be_one_lets_no_request_in(
    start: Callable[..., LocalServer], change: str
) -> None:
    server = start(ANONYMOUS)
    server.query("CREATE USER guest WITH PASSWORD 'pw-guest-1'", ROOT)
    assert whoami(server).status == 200
    server.query(change, ROOT)
    assert whoami(server).status == 401
    assert "[auth.anonymous] user" in server.log()


def test_passwords_may_be_switched_off(start: Callable[..., LocalServer]) -> None:
    server = start("[auth.basic]\nenabled = true\n")
    key: dict[str, Any] = make_key(server, {"name": "k", "role": "Admin"})
    server.stop()
    path = Path(server.store).with_name("headgate.toml")
    path.write_text("[auth.basic]\nenabled = false\n", "utf-8")
    server.start()
    assert server.query("SHOW DATABASES", ROOT).status == 401
    assert b"password login is disabled here" in server.query("SHOW DATABASES", ROOT).body
    for login in (("api_key", key["key"]), ("root", key["key"])):
        assert server.query("SHOW DATABASES", login).status == 200
    assert server.request("GET", "/query?q=SHOW+DATABASES&u=root&p=x", None, {}).status == 401
    body = {"user": ROOT[0], "password": ROOT[1]}
    assert send(server, "POST", "/api/session", body, None).status == 401
    assert 'type="password"' not in page_text(Visitor(server).get("/login"))


def test_names_are_refused_after_wrong_passwords_as_in_grafana(
    start: Callable[..., LocalServer],
) -> None:
    server = start("[auth]\nmax-login-attempts = 2\n")
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)
    for name in ("todd", "TODD"):
        assert server.query("SHOW DATABASES", (name, "wrong")).status == 401
    refused = server.query("SHOW DATABASES", ("todd", "pw-todd-1"))
    assert (refused.status, refused.json["error"]) == (401, "authorization failed")
    write = server.request("POST", "/write?db=shop", b"m v=1", {}, ("todd", "pw-todd-1"))
    assert write.status == 503
    assert server.query("SHOW DATABASES", ROOT).status == 200


def test_a_remembered_password_of_a_refused_name_counts_where_it_was_used_before(
    start: Callable[..., LocalServer],
) -> None:
    server = start('[http]\ntrusted-proxies = ["127.0.0.1"]\n[auth]\nmax-login-attempts = 2\n')
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)

    def status(address: str, password: str = "pw-todd-1") -> int:
        headers = {"X-Forwarded-For": address}
        return server.request("GET", "/api/whoami", None, headers, ("todd", password)).status

    assert status("10.0.0.1") == 200
    assert [status(f"10.1.{number}.1", "wrong") for number in range(3)] == [401] * 3
    assert (status("198.51.100.7"), status("10.0.0.1")) == (401, 200)


@pytest.mark.parametrize("origins", ["*", "https://grafana.example"])
def test_a_page_of_another_site_changes_nothing_as_the_user_of_a_proxy(
    start: Callable[..., LocalServer], origins: str
) -> None:
    lines = '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\n'
    server = start(f'[http]\nallowed-origins = "{origins}"\n{lines}')
    named = {"X-WEBAUTH-USER": "boss"}
    assert server.request("GET", "/api/whoami", None, named).status == 200
    server.query("GRANT ALL PRIVILEGES TO boss", ROOT)
    form = named | {
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "cross-site",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = server.request("POST", "/query", b"q=CREATE+DATABASE+evil", form)
    assert answer.status == 403
    assert "evil" not in server.query("SHOW DATABASES", ROOT).body.decode()


def test_the_sign_in_page_is_there_for_a_user_that_a_proxy_gives_no_role(
    start: Callable[..., LocalServer],
) -> None:
    server = start(
        '[auth.proxy]\nenabled = true\nwhitelist = ["127.0.0.1"]\n'
        'headers = "Role:X-WEBAUTH-ROLE"\nrole-attribute-strict = true\n'
    )
    named = {"X-WEBAUTH-USER": "eve"}
    assert server.request("GET", "/console/", None, named).status == 403
    assert server.request("GET", "/login", None, named).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", ["todd", "unknown"])
def test_guesses_at_the_same_time_do_not_pass_the_limit(
    start: Callable[..., LocalServer], name: str
) -> None:
    server = start("[auth]\nmax-login-attempts = 2\n")
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)

    def guess(number: int) -> Answer:
        login = (name, f"wrong-{number}")
        return server.request("POST", "/write?db=shop", b"m v=1", {}, login)

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(guess, range(12)))
    wrong = [one for one in answers if one.status == 401]
    assert (len(wrong), {one.status for one in answers}) == (2, {401, 503})
    assert server.query("SHOW DATABASES", (name, "pw-todd-1")).status == 401


def test_a_start_warns_of_an_anonymous_user_that_does_not_exist(
    serve: Callable[..., LocalServer], tmp_path: Path
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text("[auth.anonymous]\nenabled = true\nuser = 'guest'\n")
    log = serve("--config", str(path)).log()
    assert "[auth.anonymous] user: there is no user 'guest' yet" in log
