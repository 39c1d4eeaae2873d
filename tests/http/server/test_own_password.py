"""/api/user/password: a user sets their own password with the old one."""

import json
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from headgate_engine import Passwords
from support.audit_records import audit_records
from support.local_server import LocalServer
from support.servers import ROOT, Answer

PATH = "/api/user/password"
TODD = ("to:dd", "Todd-1")
INVALID = "expected {"


@pytest.fixture
def server(serve: Callable[..., LocalServer]) -> LocalServer:
    return serve(HEADGATE_AUTH_PASSWORD_MIN_LENGTH="3").bootstrap(
        "CREATE USER \"to:dd\" WITH PASSWORD 'Todd-1'"
    )


def encoded(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


def login(user: tuple[str, str] = TODD) -> str:
    return f"{PATH}?u={user[0]}&p={user[1]}"


def change(server: LocalServer, old: str, new: str, user: tuple[str, str] = TODD) -> Answer:
    body = json.dumps({"oldPassword": encoded(old), "newPassword": encoded(new)})
    return server.request("PUT", login(user), body.encode())


def test_the_new_password_is_used_at_once_and_audited(server: LocalServer) -> None:
    assert change(server, "Todd-1", "Tödd-2 \"'").status == 204
    changed = quote("Tödd-2 \"'")
    assert server.request("GET", f"/api/whoami?u={TODD[0]}&p={changed}").status == 200
    assert change(server, "Todd-1", "Todd-3").status == 401
    assert change(server, ROOT[1], "Toor-2", ROOT).status == 204
    assert server.query("SHOW DATABASES", (ROOT[0], "Toor-2")).status == 200
    records = audit_records(server)
    assert [(one.actor, one.statement) for one in records if "SET" in one.statement] == [
        ("to:dd", 'SET PASSWORD FOR "to:dd" = [REDACTED]'),
        ("root", "SET PASSWORD FOR root = [REDACTED]"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("wrong", "Todd-2", "invalid password"),
        ("", "Todd-2", "invalid password"),
        ("Todd-1", "", "the new password is empty"),
        ("Todd-1", "x", "password must have at least 3 characters"),
        ("Todd-1", "x" * 73, "password length exceeds 72 bytes"),
        ("Todd-1", "a\0b", "password must not contain a NUL character"),
    ],
)
def test_a_wrong_old_or_invalid_new_password_changes_nothing(
    server: LocalServer, old: str, new: str, error: str
) -> None:
    answer = change(server, old, new)
    assert answer.status == 400 and error in answer.json["error"]
    assert server.request("GET", f"/api/whoami?u={TODD[0]}&p={TODD[1]}").status == 200


def test_guesses_of_the_old_password_are_throttled_as_logins_are(server: LocalServer) -> None:
    statuses = [change(server, f"guess-{number}", "Todd-2").status for number in range(8)]
    assert statuses[0] == 400 and statuses[-1] in (401, 429)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"oldPassword": "", "newPassword": ""}', 400),
        (b'{"oldPassword": "VG9kZC0x"}', 400),
        (b'{"oldPassword": "VG9kZC0x", "newPassword": "VG9kZC0y", "x": 1}', 400),
        (b'{"oldPassword": "VG9kZC0x", "newPassword": 1}', 400),
        (b'{"oldPassword": "VG9kZC0x", "newPassword": "%%%"}', 400),
        (b'{"oldPassword": "VG9kZC0x", "newPassword": "/w=="}', 400),
        (b"\xff", 400),
        (b"x" * 70_000, 413),
    ],
)
def test_an_invalid_body_is_refused(server: LocalServer, body: bytes, status: int) -> None:
    answer = server.request("PUT", login(), body)
    assert answer.status == status and answer.json["error"]


def test_it_requires_a_login_and_no_other_site(server: LocalServer) -> None:
    body = json.dumps({"oldPassword": encoded("Todd-1"), "newPassword": encoded("Todd-2")})
    assert server.request("PUT", PATH, body.encode()).status == 401
    assert server.request("GET", login()).status == 405
    foreign = {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"}
    assert server.request("PUT", login(), body.encode(), foreign).status == 403


def test_without_authentication_there_is_no_password(serve: Callable[..., LocalServer]) -> None:
    answer = change(serve("--no-auth"), "a", "b")
    assert answer.status == 403 and answer.json["error"] == "no user is signed in"


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["SET PASSWORD FOR {} = 'Reset-1'", "DROP USER {}"])
def test_a_password_changed_meanwhile_by_an_administrator_stays(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    hash = Passwords.hash

    def change_first(self: Passwords, password: str) -> str:
        if password == "Todd-2":
            assert not server.query(meanwhile.format('"to:dd"')).error
            if meanwhile.startswith("DROP"):  # a new user of the same name
                server.query("CREATE USER \"to:dd\" WITH PASSWORD 'Reset-1'")
        return hash(self, password)

    monkeypatch.setattr(Passwords, "hash", change_first)
    answer = change(server, "Todd-1", "Todd-2")
    assert (answer.status, answer.json["error"]) == (400, "invalid password")
    for password, status in (("Todd-1", 401), ("Todd-2", 401), ("Reset-1", 200)):
        assert server.request("GET", f"/api/whoami?u=to:dd&p={password}").status == status
