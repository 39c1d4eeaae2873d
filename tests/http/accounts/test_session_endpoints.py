"""Sessions over HTTP: sign-in, the cookie, what it may do, and how it ends."""

import json
from collections.abc import Callable
from http.cookies import SimpleCookie

import pytest

from headgate_server import ConfigurationError, configure
from support.account_requests import COOKIE, cookie_of, encoded, make_key, send, sign_in
from support.audit_records import audit_records
from support.local_server import LocalServer
from support.servers import ROOT, Answer, Server

TODD = ("todd", "s3cret")
Serve = Callable[..., LocalServer]


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE shop; CREATE USER todd WITH PASSWORD 's3cret'; GRANT READ ON shop TO todd"
    )


def whoami(server: Server, cookie: str) -> Answer:
    return send(server, "GET", "/api/whoami", cookie=cookie)


@pytest.mark.slow
def test_a_person_signs_in_and_out(running: LocalServer) -> None:
    answer = send(running, "POST", "/api/session", {"user": "todd", "password": "s3cret"}, None)
    token = cookie_of(answer)
    running.secrets.add(token)
    assert answer.json["user"]["name"] == "todd"
    assert answer.json["session"]["is_current"] and answer.json["session"]["method"] == "password"
    assert answer.headers["Cache-Control"] == "no-store"
    (field,) = answer.headers.get_all("Set-Cookie", [])
    assert field.endswith("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax")
    found = whoami(running, token).json
    assert (found["name"], found["method"]) == ("todd", "session")
    assert send(running, "GET", "/api/session", cookie=token).json["session"]["user"] == "todd"
    answer = send(running, "DELETE", "/api/session", cookie=token)
    assert answer.status == 204 and "Max-Age=0" in answer.headers["Set-Cookie"]
    answer = whoami(running, token)
    assert (answer.status, answer.json) == (401, {"error": "invalid session"})
    assert answer.headers["WWW-Authenticate"].startswith("Session ")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    statements = [record.statement for record in audit_records(running)]
    assert "-- session begins (password)" in statements


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (json.dumps({"username": "todd", "password": encoded("s3cret")}), "json", 204),
        (json.dumps({"user": "todd", "password": "s3cret"}), "json", 204),
        (json.dumps({"user": "todd", "password": "wrong"}), "json", 401),
        (json.dumps({"user": "nix", "password": "wrong"}), "json", 401),
        (json.dumps({"user": "todd", "password": ""}), "json", 400),
        (json.dumps({"username": "todd", "password": "***"}), "json", 400),
        (json.dumps({"user": "todd"}), "json", 400),
        ("{}", "json", 400),
        ("user=todd", "x-tex", 415),
    ],
)
def test_the_sign_in_of_pyroscope_and_grafana(
    running: LocalServer, body: str, kind: str, status: int
) -> None:
    headers = {"Content-Type": f"application/{kind}"}
    answer = running.request("POST", "/login", body.encode(), headers)
    assert answer.status == status, answer.body
    assert bool(cookie_of(answer)) == (status == 204)
    if status == 401:
        assert answer.json["error"] == "authorization failed"


@pytest.mark.parametrize(("password", "status"), [("s3cret", 204), ("wrong", 401)])
def test_without_the_console_a_form_signs_in_as_json_does(
    serve: Serve, password: str, status: int
) -> None:
    server = serve(HEADGATE_CONSOLE_ENABLED="false").bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"username=todd&password={password}".encode()
    answer = server.request("POST", "/login", body, form)
    assert (answer.status, bool(cookie_of(answer))) == (status, status == 204)


def test_a_session_is_made_of_another_login(running: LocalServer) -> None:
    answer = send(running, "POST", "/api/session", login=TODD)
    assert answer.status == 200 and cookie_of(answer)
    token = cookie_of(answer)
    running.secrets.add(token)
    # A session is no login for another session.
    assert send(running, "POST", "/api/session", cookie=token).status == 401
    assert whoami(running, token).status == 200


def test_a_session_reads_by_get_and_changes_by_post(running: LocalServer) -> None:
    token = sign_in(running, *ROOT)
    for statement, status in (
        ("SHOW USERS", 200),
        ("SHOW DATABASES", 200),
        ("CREATE DATABASE x", 405),
        ("DROP USER todd", 405),
        ("SHOW USERS; DROP USER todd", 405),
        ("SELECT * INTO shop..b FROM shop..a", 405),
    ):
        path = f"/query?q={statement.replace(' ', '+').replace(';', '%3B')}"
        answer = send(running, "GET", path, cookie=token)
        assert answer.status == status, statement
        if status == 405:
            assert answer.headers["Allow"] == "POST"
            assert answer.error == "a session may change things by POST only"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"{COOKIE}={token}"}
    answer = running.request("POST", "/query", b"q=CREATE+DATABASE+x", form)
    assert answer.status == 200
    databases = running.query("SHOW DATABASES").rows()
    assert ["x"] in databases and ["todd", False] in running.query("SHOW USERS").rows()


def test_a_session_counts_on_no_write(running: LocalServer) -> None:
    token = sign_in(running, *ROOT)
    for path in ("/write?db=shop", "/api/v2/write?bucket=shop"):
        answer = running.request("POST", path, b"m v=1", {"Cookie": f"{COOKIE}={token}"})
        assert answer.status == 401, path
        assert "Set-Cookie" not in answer.headers


SITES = [
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 0),
    ({"Sec-Fetch-Site": "none"}, 0),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({}, 0),
]


@pytest.mark.parametrize(("site", "status"), SITES)
def test_a_page_of_another_site_changes_nothing(
    running: LocalServer, site: dict[str, str], status: int
) -> None:
    token = sign_in(running, *ROOT)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"{COOKIE}={token}"}
    answer = running.request("POST", "/query", b"q=DROP+DATABASE+shop", form | site)
    assert answer.status == (status or 200)
    assert (["shop"] in running.query("SHOW DATABASES").rows()) == bool(status)
    for method, path, content in (
        ("POST", "/api/keys", {"name": "k"}),
        ("POST", "/api/session", {"user": "todd", "password": "s3cret"}),
        ("POST", "/api/session/rotate", None),
        ("DELETE", "/api/session", None),
    ):
        answer = send(running, method, path, content, cookie=token, headers=site)
        assert (answer.status == 403) == bool(status), path


def test_no_page_of_another_site_reads_what_a_session_may(running: LocalServer) -> None:
    token = sign_in(running, *TODD)
    origin = {"Origin": "https://evil.example"}
    answer = send(running, "GET", "/api/whoami", cookie=token, headers=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers
    answer = send(running, "GET", "/api/whoami", headers=origin, login=TODD)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://evil.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_first_credential_decides(running: LocalServer) -> None:
    token = sign_in(running, *TODD)
    for user, status in (("todd:wrong", 401), ("root:Toor-1", 200)):
        login = {"Authorization": f"Basic {encoded(user)}"}
        answer = send(running, "GET", "/api/whoami", cookie=token, headers=login)
        assert answer.status == status
    assert answer.json["name"] == "root"


def test_several_cookies_count_if_all_valid_ones_are_of_one_user(running: LocalServer) -> None:
    first, second, other = sign_in(running, *TODD), sign_in(running, *TODD), sign_in(running, *ROOT)
    for tokens, status in (
        (("bad", first), 200),
        ((first, "bad"), 200),
        ((first, second), 200),
        ((first, other), 401),
        (("bad", "worse"), 401),
    ):
        cookie = "; ".join(f"{COOKIE}={token}" for token in tokens)
        answer = running.request("GET", "/api/whoami", None, {"Cookie": cookie})
        assert answer.status == status, tokens
        assert ("Set-Cookie" in answer.headers) == (status == 401)


@pytest.mark.slow
def test_people_see_and_end_their_own_sessions(running: LocalServer) -> None:
    here, there, third = (sign_in(running, *TODD) for _ in range(3))
    listed = send(running, "GET", "/api/user/sessions", cookie=here).json
    assert [one["is_current"] for one in listed] == [True, False, False]
    own, other = listed[0]["id"], listed[1]["id"]
    answer = send(running, "DELETE", f"/api/user/sessions/{own}", cookie=here)
    assert answer.status == 400
    assert answer.json["error"] == "the session in use is ended by signing out"
    assert send(running, "DELETE", f"/api/user/sessions/{other}", cookie=here).status == 204
    answer = whoami(running, there)
    assert (answer.status, answer.error) == (401, "session revoked")
    for id in (other, "999", "ff"):
        assert send(running, "DELETE", f"/api/user/sessions/{id}", cookie=here).status == 404
    root = sign_in(running, *ROOT)
    assert send(running, "DELETE", f"/api/user/sessions/{own}", cookie=root).status == 404
    assert send(running, "DELETE", "/api/user/sessions", cookie=here).json == {"revoked": 1}
    assert whoami(running, here).status == 200 and whoami(running, third).status == 401


@pytest.mark.slow
def test_administrators_end_sessions_of_others(running: LocalServer) -> None:
    tokens = [sign_in(running, *TODD) for _ in range(3)]
    found = send(running, "GET", "/api/sessions?user=todd&limit=2", login=ROOT).json
    assert found["count"] == 3 and len(found["sessions"]) == 2
    session = found["sessions"][0]
    user = session["user_id"]
    path = f"/api/users/{user}/sessions"
    assert len(send(running, "GET", path, login=ROOT).json) == 3
    assert send(running, "DELETE", f"{path}/{session['id']}", login=ROOT).status == 204
    assert [whoami(running, token).status for token in tokens] == [401, 200, 200]
    assert send(running, "DELETE", path, login=ROOT).json == {"revoked": 2}
    token = sign_in(running, *TODD)
    for names, status in ((["todd", "nix"], 404), (["todd", "root"], 200), ([5], 400)):
        answer = send(running, "POST", "/api/sessions/revoke", {"users": names}, login=ROOT)
        assert answer.status == status
    assert whoami(running, token).status == 401
    for method, path in (("GET", "/api/sessions"), ("DELETE", f"/api/users/{user}/sessions")):
        assert send(running, method, path, login=TODD).status == 403


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("SET PASSWORD FOR todd = 'other-1'", "session revoked"),
        ("DROP USER todd", "invalid session"),
        ("DROP USER todd; CREATE USER todd WITH PASSWORD 's3cret'", "invalid session"),
        ("REVOKE READ ON shop FROM todd", ""),
    ],
)
def test_a_session_ends_with_what_it_rests_on(
    running: LocalServer, change: str, error: str
) -> None:
    token = sign_in(running, *TODD)
    assert whoami(running, token).json["grants"] == {"shop": "READ"}
    running.query(change)
    answer = whoami(running, token)
    if error:
        assert (answer.status, answer.error) == (401, error)
    else:
        assert answer.json["grants"] == {}


def test_one_s_own_password_keeps_the_own_session(running: LocalServer) -> None:
    here, there = sign_in(running, *TODD), sign_in(running, *TODD)
    content = {"oldPassword": encoded("s3cret"), "newPassword": encoded("n3w-secret")}
    assert send(running, "PUT", "/api/user/password", content, cookie=here).status == 204
    assert [whoami(running, token).status for token in (here, there)] == [200, 401]


def test_a_session_is_rotated_on_request_but_not_at_once(running: LocalServer) -> None:
    token = sign_in(running, *TODD)
    answer = send(running, "POST", "/api/session/rotate", cookie=token)
    assert (answer.status, answer.json) == (200, {"rotated": False})
    assert "Set-Cookie" not in answer.headers
    assert send(running, "POST", "/api/session/rotate", cookie="x" * 43).status == 401
    assert send(running, "POST", "/api/session/rotate", None, None).status == 401


def test_guessed_passwords_are_throttled_with_those_of_basic(running: LocalServer) -> None:
    for _ in range(5):
        answer = send(running, "POST", "/login", {"user": "todd", "password": "wrong"}, None)
        assert answer.status == 401
    answer = send(running, "POST", "/login", {"user": "todd", "password": "s3cret"}, None)
    assert answer.status == 401 and answer.headers["Retry-After"]
    assert running.query("SHOW DATABASES", TODD).status == 401


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [
        ({}, "SameSite=Lax"),
        ({"COOKIE_SAMESITE": "strict"}, "SameSite=Strict"),
        ({"COOKIE_SAMESITE": "none"}, "SameSite=None; Secure"),
        ({"COOKIE_SECURE": "true"}, "SameSite=Lax; Secure"),
        ({"LOGIN_MAXIMUM_LIFETIME_DURATION": "0s"}, "Max-Age=34560000; HttpOnly; SameSite=Lax"),
        ({"LOGIN_MAXIMUM_LIFETIME_DURATION": "1h"}, "Max-Age=3600; HttpOnly; SameSite=Lax"),
    ],
)
def test_the_cookie_is_as_configured(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], suffix: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"HEADGATE_AUTH_{name}", value)
    server = serve().bootstrap()
    answer = send(server, "POST", "/api/session", login=ROOT)
    server.secrets.add(cookie_of(answer))
    assert answer.headers["Set-Cookie"].endswith(suffix)


def test_the_cookie_has_the_configured_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_AUTH_LOGIN_COOKIE_NAME", "metrics_session")
    server = serve().bootstrap()
    answer = send(server, "POST", "/api/session", login=ROOT)
    assert answer.headers["Set-Cookie"].startswith("metrics_session=")
    jar = SimpleCookie(answer.headers["Set-Cookie"])
    token = jar["metrics_session"].value
    server.secrets.add(token)
    fields = {"Cookie": f"metrics_session={token}"}
    assert server.request("GET", "/api/whoami", None, fields).status == 200


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("LOGIN_COOKIE_NAME", "a;b", "login-cookie-name: 'a;b': expected letters"),
        ("LOGIN_MAXIMUM_INACTIVE_LIFETIME_DURATION", "5m", "minutes 10 is not less than login-max"),
        ("TOKEN_ROTATION_INTERVAL_MINUTES", "0", "expected 1 to 1440"),
        ("COOKIE_SAMESITE", "loose", "expected lax, strict or none"),
        ("LOGIN_MAXIMUM_LIFETIME_DURATION", "7 days", "expected a duration"),
        ("API_KEY_MAX_SECONDS_TO_LIVE", "-2", "expected"),
    ],
)
def test_settings_of_sessions_that_cannot_be_stop_the_start(
    name: str, value: str, error: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure({}, {f"HEADGATE_AUTH_{name}": value}, None)
    assert error in str(refused.value)


def test_a_host_that_is_not_listed_is_not_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_HTTP_ALLOWED_HOSTS", "127.0.0.1,metrics.example")
    server = serve().bootstrap()
    for host, status in (
        ("127.0.0.1", 204),
        ("METRICS.example:8086", 204),
        ("evil.example", 421),
        ("metrics.example.evil", 421),
        ("[", 400),
        ("", 421),
    ):
        assert server.request("GET", "/ping", None, {"Host": host}).status == status, host


def test_sessions_and_keys_are_in_the_metrics(serve: Serve) -> None:
    server = serve().bootstrap()
    sign_in(server, *ROOT)
    make_key(server, {"name": "a", "ttlSeconds": 900})
    make_key(server, {"name": "b"})
    page = server.request("GET", "/metrics").body.decode()
    assert "headgate_sessions_active 1.0" in page
    assert 'headgate_api_keys{state="active"} 2.0' in page
    assert 'headgate_api_keys{state="expiring_7d"} 1.0' in page
    assert 'headgate_api_keys{state="expired"} 0.0' in page
