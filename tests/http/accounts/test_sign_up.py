"""Accounts that people create themselves: their names, their rights, and how many there may be."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from headgate_engine import BadPassword
from headgate_server.auth.common_passwords import check_persons_password
from headgate_server.auth.errors import TooManySignUps
from headgate_server.auth.sign_up import SignUpLimiter
from support.account_requests import send
from support.audit_records import audit_records
from support.console_requests import Visitor, page_text
from support.local_server import LocalServer
from support.servers import ROOT, Answer

Serve = Callable[..., LocalServer]
ON = {"HEADGATE_AUTH_SIGNUP_ENABLED": "true"}
AT_ONCE = {**ON, "HEADGATE_AUTH_SIGNUP_REQUIRE_APPROVAL": "false"}
PASSWORD = "a long enough one"


def body(name: str = "ann", password: str = PASSWORD, **more: str) -> dict[str, str]:
    return {"name": name, "password": b64encode(password.encode()).decode(), **more}


def sign_up(server: LocalServer, content: Any, **headers: str) -> Answer:
    return send(server, "POST", "/signup", content, None, headers=headers)


@pytest.mark.slow
def test_sign_up_is_off_unless_it_is_switched_on(server: LocalServer) -> None:
    server.bootstrap()
    assert sign_up(server, body()).json["error"] == "sign-up is disabled"
    assert [sign_up(server, body()).status, Visitor(server).get("/signup").status] == [404, 404]
    assert "Create an account" not in page_text(Visitor(server).get("/login"))


@pytest.mark.slow
def test_an_account_waits_until_an_administrator_approves_it(serve: Serve) -> None:
    settings = {
        **ON,
        "HEADGATE_AUTH_SIGNUP_DEFAULT_ROLE": "ReadOnly",
        "HEADGATE_AUTH_SIGNUP_DATABASES": "shop",
    }
    server = serve(**settings).bootstrap("CREATE DATABASE shop", "CREATE DATABASE logs")
    answer = sign_up(server, body(email="ann@example.com", fullName="Ann Archer"))
    assert answer.status == 202 and answer.json["isPending"] is True
    id, login = answer.json["id"], ("ann", PASSWORD)
    assert server.query("SHOW DATABASES", login).status == 401
    (waiting,) = send(server, "GET", "/api/users?pending=true").json
    assert (waiting["name"], waiting["grants"], waiting["email"]) == ("ann", {}, "ann@example.com")
    assert send(server, "PUT", f"/api/users/{id}/approve").json["grants"] == {"shop": "READ"}
    assert server.query("SHOW DATABASES", login).status == 200
    assert send(server, "PUT", f"/api/users/{id}/approve").status == 409
    statements = [record.statement for record in audit_records(server)]
    assert "-- sign-up ann, pending" in statements and "GRANT READ ON shop TO ann" in statements


def test_an_account_may_be_ready_at_once(serve: Serve) -> None:
    server = serve(**AT_ONCE, **{"HEADGATE_AUTH_SIGNUP_DATABASES": "*"}).bootstrap(
        "CREATE DATABASE shop"
    )
    answer = sign_up(server, body())
    assert (answer.status, answer.json["name"]) == (201, "ann")
    assert answer.json["grants"] == {"shop": "READ"} and not answer.headers.get("Set-Cookie")
    assert server.query("SHOW DATABASES", ("ann", PASSWORD)).status == 200


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (body("root"), 409, "user already exists"),
        (body("ann", "short"), 400, "password is too short: at least 8 characters"),
        (body("ann", "PassWord1"), 400, "password is too common"),
        (body("buy <b>now</b>"), 400, "name: expected at most 64 letters"),
        (body("аdmin"), 400, "name: expected"),  # its first letter is Cyrillic
        (body("x" * 65), 400, "name: expected"),
        (body("ann", fullName="see https://spam.example"), 400, "fullName: expected a name"),
        (body("ann", email="no address"), 400, "email: expected an address"),
        (body("ann", role="Admin"), 400, "unknown member role"),
        ({"name": "ann"}, 400, "password: missing"),
    ],
)
def test_what_no_account_can_be_created_with(
    serve: Serve, content: Any, status: int, error: str
) -> None:
    server = serve(**AT_ONCE).bootstrap()
    answer = sign_up(server, content)
    assert (answer.status, answer.json["error"].startswith(error)) == (status, True), answer.body
    assert len(send(server, "GET", "/api/users").json) == 1


def test_the_first_administrator_comes_before_all_sign_ups(serve: Serve) -> None:
    server = serve(**AT_ONCE)
    answer = sign_up(server, body())
    assert answer.status == 403 and "create admin user first" in answer.json["error"]
    assert "first administrator does not exist yet" in page_text(Visitor(server).get("/signup"))


def test_a_page_of_another_site_creates_no_account(serve: Serve) -> None:
    server = serve(**AT_ONCE).bootstrap()
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert sign_up(server, body(), **headers).status == 403
    answer = Visitor(server).post(
        "/signup",
        {"username": "ann", "password": PASSWORD, "again": PASSWORD},
        Sec_Fetch_Site="cross-site",
    )
    assert answer.status == 403 and len(send(server, "GET", "/api/users").json) == 1


def test_sign_ups_of_an_address_are_limited(serve: Serve) -> None:
    server = serve(
        **AT_ONCE, **{"HEADGATE_AUTH_SIGNUP_LIMIT": "2", "HEADGATE_AUTH_SIGNUP_MAX_PENDING": "9"}
    ).bootstrap()
    statuses = [sign_up(server, body(f"ann{number}")).status for number in range(3)]
    assert statuses == [201, 201, 429]
    answer = sign_up(server, body("late"))
    assert 0 < int(answer.headers["Retry-After"]) <= 3600


def test_only_so_many_accounts_wait(serve: Serve) -> None:
    server = serve(**ON, **{"HEADGATE_AUTH_SIGNUP_MAX_PENDING": "2"}).bootstrap()
    statuses = [sign_up(server, body(f"ann{number}")).status for number in range(3)]
    assert statuses == [202, 202, 503]


@pytest.mark.slow
def test_a_person_signs_up_and_is_approved_by_the_pages(serve: Serve) -> None:
    server = serve(**ON, **{"HEADGATE_AUTH_SIGNUP_DATABASES": "shop"}).bootstrap(
        "CREATE DATABASE shop"
    )
    visitor = Visitor(server)
    assert 'href="/signup"' in page_text(visitor.get("/login"))
    form = {"username": "ann", "password": PASSWORD, "again": "another", "email": "a@b.example"}
    page = visitor.post("/signup", form)
    assert page.status == 400 and "The two passwords differ." in page_text(page)
    assert 'value="ann"' in page_text(page) and PASSWORD not in page_text(page)
    taken = visitor.post("/signup", form | {"again": PASSWORD, "username": "root"})
    assert taken.status == 409 and "This user name is taken" in page_text(taken)
    page = visitor.follow(visitor.post("/signup", form | {"again": PASSWORD}))
    assert "waits for an administrator" in page_text(page)
    root = Visitor(server, *ROOT)
    (waiting,) = send(server, "GET", "/api/users?pending=true").json
    address = f"/console/users/{waiting['id']}"
    assert "waits for approval" in page_text(root.get(address))
    done = root.follow(root.post(f"{address}/status", {"status": "approved"}))
    assert "Account approved" in page_text(done)
    again = root.post(f"{address}/status", {"status": "approved"})
    assert "does not wait for approval any more" in page_text(again)
    assert server.query("SHOW DATABASES", ("ann", PASSWORD)).status == 200


def test_the_limiter_counts_networks_and_days() -> None:
    now = [0.0]
    limiter = SignUpLimiter(2, 3, lambda: now[0])

    def create(address: str) -> bool:
        try:
            limiter.check(address)
        except TooManySignUps:
            return False
        limiter.count(address)
        return True

    steps = [
        (0, "192.0.2.1", True),
        (1, "192.0.2.1", True),
        (2, "192.0.2.1", False),
        (3, "2001:db8::1", True),
        (4, "192.0.2.2", False),  # three a day
        (3700, "192.0.2.2", False),
        (86_401, "192.0.2.2", True),
        (86_402, "2001:db8::2", True),
        (86_404, "2001:db8::3", True),
        (86_405, "2001:db8:0:1::3", False),
    ]
    for at, address, allowed in steps:
        now[0] = at
        assert create(address) is allowed, (at, address)


def test_tries_are_limited_at_ten_times_the_accounts() -> None:
    limiter = SignUpLimiter(1, 100, lambda: 0.0)
    for _ in range(10):
        limiter.check("192.0.2.1")
    with pytest.raises(TooManySignUps):
        limiter.check("192.0.2.1")
    limiter.check("192.0.2.2")


@pytest.mark.parametrize(
    ("password", "least", "error"),
    [
        ("1234567", 0, "too short: at least 8"),
        ("12345678", 0, "too common"),
        ("ILoveYou12", 0, ""),
        ("iloveyou", 0, "too common"),
        ("correct horse battery", 0, ""),
        ("elevenchars", 12, "too short: at least 12"),
    ],
)
def test_passwords_of_people_are_long_and_uncommon(password: str, least: int, error: str) -> None:
    if not error:
        check_persons_password(password, least)
        return
    with pytest.raises(BadPassword, match=error):
        check_persons_password(password, least)
