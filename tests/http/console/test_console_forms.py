"""The forms of the console: what they change, which users may send them, and what the audit has."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest

from support.account_requests import COOKIE, make_key, send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text, rights_form
from support.local_server import LocalServer
from support.servers import ROOT, Server
from support.waiting import poll_until

Serve = Callable[..., LocalServer]
TODD, ANN = ("todd", "s3cret"), ("ann", "pw-ann-1")
SETUP = (
    "CREATE DATABASE shop; CREATE DATABASE logs; CREATE USER todd WITH PASSWORD 's3cret';"
    "CREATE USER ann WITH PASSWORD 'pw-ann-1'; GRANT READ ON shop TO todd"
)
# The ids that SETUP makes.
SHOP, LOGS, TODD_ID, ANN_ID = "1", "2", "2", "3"


@dataclass(frozen=True)
class Form:
    """A form of a page for administrators, and what it leaves in the audit."""

    path: str
    audit: str
    fields: dict[str, str] = field(default_factory=dict)


# In an order in which an administrator can send them all.
FORMS = [
    Form("/console/databases", "CREATE DATABASE web", {"name": "web"}),
    Form(f"/console/databases/{LOGS}", "DROP DATABASE logs", {"action": "drop", "confirm": "logs"}),
    Form(
        f"/console/databases/{SHOP}",
        "GRANT WRITE ON shop TO ann",
        {"user": "ann", "privilege": "WRITE"},
    ),
    Form(
        "/console/users/new",
        "CREATE USER new -- no password",
        {"name": "new", "password_kind": "none"},
    ),
    Form(
        "/console/users/new",
        "CREATE USER boss WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
        {"name": "boss", "password_kind": "typed", "password": "pw-boss-1", "role": "admin"},
    ),
    Form(
        f"/console/users/{ANN_ID}/profile",
        "-- account ann: profile",
        {"email": "ann@example.com", "verified": "yes", "full_name": "Ann"},
    ),
    Form(
        f"/console/users/{ANN_ID}/password",
        "SET PASSWORD FOR ann = [REDACTED]",
        {"password": "pw-ann-2"},
    ),
    Form(f"/console/users/{TODD_ID}/status", "-- account todd: disabled", {"status": "disabled"}),
    Form(f"/console/users/{TODD_ID}/status", "-- account todd: enabled", {"status": "active"}),
    Form(f"/console/users/{TODD_ID}/drop", "DROP USER todd", {"confirm": "todd"}),
    Form(
        "/console/keys/new",
        '-- key "for ann" of ann made: READ ON *',
        {"user": "ann", "name": "for ann", "scope": "READ", "lifetime": "none"},
    ),
]


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(SETUP)


@pytest.fixture
def root(running: LocalServer) -> Visitor:
    return Visitor(running, *ROOT)


def state(server: Server) -> list[object]:
    """Everything that a form may change."""
    users = [it | {"lastSeenAt": None} for it in send(server, "GET", "/api/users").json]
    # A request may advance when a session was seen, and so when it ends.
    sessions = [
        it | {"seen": None, "seen_at": None, "expires_at": None}
        for it in send(server, "GET", "/api/sessions").json["sessions"]
    ]
    paths = ("/api/access", "/api/keys")
    return [users, sessions, *(send(server, "GET", path).json for path in paths)]


@pytest.mark.slow
def test_each_form_does_what_it_says_and_names_the_session_in_the_audit(root: Visitor) -> None:
    for form in FORMS:
        answer = root.post(form.path, form.fields)
        assert answer.status in (200, 303), (form, page_text(answer))
        record = audit_records(root.server)[-1]
        assert (record.actor, record.outcome) == ("root", "ok")
        assert record.statement == f"{form.audit} -- session 1", form


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.path} {form.audit[:12]}")
def test_no_form_does_anything_for_others_than_administrators(
    running: LocalServer, form: Form
) -> None:
    todd = Visitor(running, *TODD)
    stranger = Visitor(running)
    stale = Visitor(running)
    stale.cookies[COOKIE] = "x" * 43
    before = state(running)
    expected = 404 if form.path == "/console/keys/new" else 403
    assert todd.post(form.path, form.fields).status == expected
    for visitor in (stranger, stale):
        answer = visitor.post(form.path, form.fields)
        assert (answer.status, answer.headers["Location"]) == (303, "/login?notice=form")
    assert state(running) == before


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.path} {form.audit[:12]}")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://other.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "", "Referer": "http://evil.example/console/"},
    ],
)
def test_no_form_of_another_site_does_anything(
    root: Visitor, form: Form, headers: dict[str, str]
) -> None:
    before = state(root.server)
    assert root.post(form.path, form.fields, **headers).status == 403
    assert state(root.server) == before
    # By a link, nothing is changed.
    assert root.get(f"{form.path}?{urlencode(form.fields)}").status in (200, 404)
    assert state(root.server) == before


@pytest.mark.slow
def test_rights_are_saved_together_and_the_page_shows_the_statements(root: Visitor) -> None:
    form = rights_form(root, TODD_ID)
    assert (form[f"grant.{SHOP}"], form[f"grant.{LOGS}"]) == ("READ", "NONE")
    form |= {f"grant.{SHOP}": "NONE", f"grant.{LOGS}": "ALL PRIVILEGES"}
    page = page_text(root.follow(root.post(f"/console/users/{TODD_ID}/rights", form)))
    assert "Rights changed." in page
    shown = page[page.index("<pre>") : page.index("</pre>")]
    assert "GRANT ALL PRIVILEGES ON logs TO todd" in shown
    assert "REVOKE ALL PRIVILEGES ON shop FROM todd" in shown
    assert "Rights changed." not in page_text(root.get(f"/console/users/{TODD_ID}")), "once"
    grants = root.server.query("SHOW GRANTS FOR todd").rows()
    assert grants == [["shop", "NO PRIVILEGES"], ["logs", "ALL PRIVILEGES"]]
    again = root.follow(root.post(f"/console/users/{TODD_ID}/rights", rights_form(root, TODD_ID)))
    assert "Nothing to change." in page_text(again)


@pytest.mark.slow
def test_a_change_in_between_is_shown_and_not_overwritten(root: Visitor) -> None:
    form = rights_form(root, TODD_ID) | {f"grant.{SHOP}": "WRITE"}
    root.server.query("GRANT READ ON logs TO todd")
    answer = root.post(f"/console/users/{TODD_ID}/rights", form)
    page = page_text(answer)
    assert answer.status == 400 and "changed meanwhile" in page
    assert re.search(rf'name="grant\.{SHOP}" value="WRITE" checked', page), "the choice is kept"
    assert re.search(rf'name="grant\.{LOGS}" value="READ"[^>]*> <span class="held">READ', page)
    grants = root.server.query("SHOW GRANTS FOR todd").rows()
    assert grants == [["shop", "READ"], ["logs", "READ"]]
    for stale in ("", "-", "0" * 32):
        sent = form | {"revision": stale}
        assert root.post(f"/console/users/{TODD_ID}/rights", sent).status == 400
    form |= rights_form(root, TODD_ID) | {f"grant.{SHOP}": "WRITE"}
    assert root.post(f"/console/users/{TODD_ID}/rights", form).status == 303
    assert root.server.query("SHOW GRANTS FOR todd").rows()[0] == ["shop", "WRITE"]


@pytest.mark.slow
def test_the_last_administrator_is_kept_and_the_page_says_why(root: Visitor) -> None:
    page = page_text(root.get("/console/users/1"))
    assert "This is the last administrator that can log in." in page
    form = rights_form(root, "1")
    assert form["admin"] == "yes"
    del form["admin"]
    answer = root.post("/console/users/1/rights", form)
    assert answer.status == 400 and "Another administrator can take" in page_text(answer)
    root.server.query("GRANT ALL PRIVILEGES TO todd")
    assert "last administrator" not in page_text(root.get("/console/users/1"))
    todd = Visitor(root.server, *TODD)
    for path, fields in (
        ("/console/users/1/status", {"status": "disabled"}),
        ("/console/users/1/drop", {"confirm": "root"}),
        ("/console/users/1/password", {"password": "x"}),
    ):
        assert root.post(path, fields).status == 403, "one's own account"
    assert todd.post("/console/users/1/status", {"status": "disabled"}).status == 303
    answer = todd.post("/console/users/2/rights", rights_form(todd, "2") | {"admin": "no"})
    assert answer.status == 400


def test_a_drop_needs_the_name(root: Visitor) -> None:
    for path, fields in (
        (f"/console/users/{TODD_ID}/drop", {"confirm": "tod"}),
        (f"/console/databases/{SHOP}", {"action": "drop"}),
    ):
        answer = root.post(path, fields)
        assert answer.status == 400 and 'role="alert"' in page_text(answer)
    assert root.server.query("SHOW DATABASES").rows() == [["shop"], ["logs"]]


@pytest.mark.slow
def test_a_refused_form_keeps_what_was_typed_but_no_password(root: Visitor) -> None:
    typed = {"name": "todd", "password_kind": "typed", "password": "pw-todd-9", "role": "agent"}
    answer = root.post("/console/users/new", typed | {"email": "nonsense"})
    page = page_text(answer)
    assert answer.status == 400 and "email: expected an address" in page
    assert 'value="todd"' in page and 'value="agent" checked' in page and "pw-todd-9" not in page
    answer = root.post("/console/users/new", typed)
    assert answer.status == 409 and "user already exists" in page_text(answer)
    answer = root.post("/console/databases", {"name": "a/b"})
    assert answer.status == 400 and "invalid name" in page_text(answer)
    assert 'value="a/b"' in page_text(answer)


def test_a_generated_password_is_shown_once_and_logs_in(root: Visitor) -> None:
    page = page_text(root.post("/console/users/new", {"name": "bob", "password_kind": "generated"}))
    (password,) = re.findall(r'readonly value="([\w-]{24})"', page)
    root.server.secrets.add(password)
    assert root.server.query("SHOW DATABASES", ("bob", password)).status == 200
    (id,) = re.findall(r'href="/console/users/(\d+)">Give rights', page)
    assert password not in page_text(root.get(f"/console/users/{id}"))


@pytest.mark.slow
def test_a_key_is_shown_once_with_the_rights_that_the_form_chose(root: Visitor) -> None:
    form = {"user": "todd", "name": "eu", "scope": "chosen", "lifetime": "week"}
    assert root.post("/console/keys/new", form).status == 400, "no database is chosen"
    answer = root.post("/console/keys/new", form | {f"grant.{SHOP}": "READ"})
    assert answer.status == 200
    (text,) = set(re.findall(r"hgk_\w{43}_\w{8}", page_text(answer)))
    root.server.secrets.add(text)
    (key,) = send(root.server, "GET", "/api/keys").json
    assert key["grants"] == {"shop": "READ"} and key["expiresAt"] is not None
    assert root.server.query("SHOW DATABASES", ("todd", text)).rows() == [["shop"]]
    assert text not in page_text(root.get("/console/keys"))
    rotated = root.post(f"/console/keys/{key['id']}", {"action": "rotate", "grace": "day"})
    (second,) = set(re.findall(r"hgk_\w{43}_\w{8}", page_text(rotated)))
    root.server.secrets.add(second)
    assert root.server.query("SHOW DATABASES", ("todd", text)).status == 200
    assert root.post(f"/console/keys/{key['id']}", {"action": "end-previous"}).status == 303
    assert root.server.query("SHOW DATABASES", ("todd", text)).status == 401
    assert root.post(f"/console/keys/{key['id']}", {"action": "revoke"}).status == 303
    assert root.server.query("SHOW DATABASES", ("todd", second)).status == 401
    assert root.post(f"/console/keys/{key['id']}", {"action": "revoke"}).status == 404


def test_a_person_makes_keys_within_their_rights(running: LocalServer) -> None:
    todd = Visitor(running, *TODD)
    form = {"name": "mine", "lifetime": "month"}
    assert todd.post("/console/keys/new", form | {"scope": "admin"}).status == 403
    wide = form | {"scope": "chosen", f"grant.{LOGS}": "READ"}
    assert todd.post("/console/keys/new", wide).status == 400, "no database of theirs is chosen"
    answer = todd.post("/console/keys/new", form | {"scope": "everything"})
    assert answer.status == 200
    (text,) = set(re.findall(r"hgk_\w{43}_\w{8}", page_text(answer)))
    running.secrets.add(text)
    assert running.query("SHOW DATABASES", ("todd", text)).rows() == [["shop"]]


@pytest.mark.slow
def test_a_person_changes_profile_and_password(running: LocalServer) -> None:
    todd, other = Visitor(running, *TODD), Visitor(running, *TODD)
    page = todd.follow(todd.post("/console/account", {"email": "t@x.example", "full_name": "T"}))
    assert 'value="t@x.example"' in page_text(page) and "Profile saved." in page_text(page)
    path, new = "/console/account/password", {"new": "n3w-pass", "again": "n3w-pass"}
    for form, reason in (
        ({"old": "wrong", **new}, "The old password is wrong."),
        ({"old": "s3cret", "new": "n3w-pass", "again": "other"}, "The two new passwords differ."),
        ({"old": "s3cret", "new": "", "again": ""}, "Type a new password."),
    ):
        answer = todd.post(path, form)
        assert answer.status == 400 and reason in page_text(answer)
    assert "Password set." in page_text(todd.follow(todd.post(path, {"old": "s3cret", **new})))
    assert other.get("/console/account").status == 303, "another session has ended"
    running.secrets.add("n3w-pass")
    assert running.query("SHOW DATABASES", ("todd", "n3w-pass")).status == 200


@pytest.mark.slow
def test_sessions_are_ended_by_their_owner_and_by_administrators(
    root: Visitor, running: LocalServer
) -> None:
    first, second, ann = Visitor(running, *TODD), Visitor(running, *TODD), Visitor(running, *ANN)
    sessions = send(running, "GET", "/api/sessions").json["sessions"]
    own = [it["id"] for it in sessions if it["user"] == "todd"]
    path = "/console/sessions"
    assert first.post(path, {"id": own[0], "user": TODD_ID}).status == 400, "the one in use"
    assert ann.post(path, {"id": own[0], "user": TODD_ID}).status == 404
    assert ann.post(path, {"id": own[0], "user": ANN_ID}).status == 404
    assert first.post(path, {"id": own[1], "user": TODD_ID}).status == 303
    assert (first.get(path).status, second.get(path).status) == (200, 303)
    third = Visitor(running, *TODD)
    assert first.post(path, {"action": "others"}).status == 303
    assert third.get(path).status == 303
    page = root.follow(root.post(f"/console/users/{TODD_ID}/sessions"))
    assert "Sessions ended: 1." in page_text(page)
    assert first.get(path).status == 303 and ann.get(path).status == 200


def test_rights_count_from_the_next_request_on(root: Visitor, running: LocalServer) -> None:
    root.server.query("GRANT ALL PRIVILEGES TO todd")
    todd = Visitor(running, *TODD)
    assert todd.get("/console/users").status == 200
    root.server.query("REVOKE ALL PRIVILEGES FROM todd")
    assert todd.get("/console/users").status == 403
    assert todd.post("/console/databases", {"name": "x"}).status == 403
    assert root.post(f"/console/users/{TODD_ID}/status", {"status": "disabled"}).status == 303
    assert todd.get("/console/account").status == 303


@pytest.mark.slow
def test_the_audit_is_filtered(root: Visitor) -> None:
    root.server.query("SHOW USERS", TODD)
    root.server.query("SHOW USERS", ("todd", "wrong-1"))
    path = "/console/audit?refused=yes"
    words = "requires admin privilege"
    poll_until(lambda: words in page_text(root.get(path)), "denials are written every second")
    refused = page_text(root.get(path))
    assert "authorization failed" in refused and "GRANT READ" not in refused
    of_todd = page_text(root.get("/console/audit?user=todd&text=show"))
    assert "SHOW USERS" in of_todd and "CREATE DATABASE" not in of_todd
    assert "No records match." in page_text(root.get("/console/audit?until=2020-01-01"))


def test_guesses_on_the_page_are_throttled_with_those_elsewhere(serve: Serve) -> None:
    # From an address where no administrator has logged in.
    limits = {"HEADGATE_AUTH_FREE_FAILURES": "2", "HEADGATE_HTTP_TRUSTED_PROXIES": "127.0.0.1"}
    server = serve(**limits).bootstrap(SETUP)
    form, far = {"username": "todd", "password": "wrong"}, "192.0.2.7"
    last = [Visitor(server).post("/login", form, X_Forwarded_For=far) for _ in range(4)][-1]
    assert last.status == 429
    assert "Too many wrong passwords. Try again in" in page_text(last)


@pytest.mark.slow
def test_forms_of_any_content_are_answered(root: Visitor) -> None:
    bodies = (b"", b"%", b"a=%ff", b"name=%00", b"user=%00&name=%00", b"&&&=", b"x" * 2_000_000)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"{COOKIE}={root.cookies[COOKIE]}",
        "Sec-Fetch-Site": "same-origin",
    }
    for path in sorted({form.path for form in FORMS}):
        for body in bodies:
            status = root.server.request("POST", path, body, headers).status
            # An empty profile is valid.
            expected = 303 if path.endswith("/profile") and len(body) < 99 else 400
            assert status == expected or 400 <= status < 500, (path, body[:20])


def test_keys_are_for_administrators_where_user_keys_is_off(serve: Serve) -> None:
    server = serve(HEADGATE_AUTH_USER_KEYS="false").bootstrap(SETUP)
    todd = Visitor(server, *TODD)
    assert "Only administrators make keys here." in page_text(todd.get("/console/keys/new"))
    make = {"name": "a", "scope": "READ", "lifetime": "week"}
    assert todd.post("/console/keys/new", make).status == 400
    make_key(server, {"name": "b", "user": "todd"})
    assert send(server, "GET", "/api/keys").json[0]["name"] == "b"
