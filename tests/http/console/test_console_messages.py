"""What the console says after a form: messages of changes, and answers that contradict."""

import re

import pytest

from support.account_requests import send
from support.console_requests import Visitor, page_text, rights_form
from support.local_server import LocalServer
from support.servers import ROOT

TODD = ("todd", "s3cret")
SETUP = (
    "CREATE DATABASE shop; CREATE DATABASE logs; CREATE USER todd WITH PASSWORD 's3cret';"
    "CREATE USER ann WITH PASSWORD 'pw-ann-1'; GRANT READ ON shop TO todd"
)
# The ids that SETUP makes.
SHOP, TODD_ID, ANN_ID = "1", "2", "3"


@pytest.fixture
def running(server: LocalServer) -> LocalServer:
    return server.bootstrap(SETUP)


@pytest.fixture
def root(running: LocalServer) -> Visitor:
    return Visitor(running, *ROOT)


@pytest.mark.parametrize("cookie", ["", "x", "gAAAAABm", "\xff" * 9])
def test_a_message_that_was_not_sealed_here_is_not_shown(root: Visitor, cookie: str) -> None:
    root.cookies["headgate_message"] = cookie
    answer = root.get("/console/")
    assert answer.status == 200 and 'role="status"' not in page_text(answer)


def test_a_message_of_another_session_is_not_shown(root: Visitor, running: LocalServer) -> None:
    root.post("/console/databases", {"name": "web"})
    todd = Visitor(running, *TODD)
    todd.cookies["headgate_message"] = root.cookies["headgate_message"]
    assert "Database created." not in page_text(todd.get("/console/"))
    assert "Database created." in page_text(root.get("/console/databases"))


@pytest.mark.slow
def test_two_answers_to_one_question_are_refused(root: Visitor) -> None:
    user = {"name": "bob", "password_kind": "generated", "password": "typed-1"}
    answer = root.post("/console/users/new", user)
    assert answer.status == 400 and "You typed a password, but chose" in page_text(answer)
    key = {"user": "todd", "name": "k", "scope": "WRITE", f"grant.{SHOP}": "READ"}
    answer = root.post("/console/keys/new", key)
    assert answer.status == 400 and "You chose databases, but also" in page_text(answer)
    answer = root.post("/console/databases", {"name": "shop"})
    assert "This database exists. Nothing was changed." in page_text(root.follow(answer))


def test_a_key_that_can_do_nothing_is_shown_as_one(root: Visitor) -> None:
    form = {"user": "ann", "name": "k", "scope": "chosen", f"grant.{SHOP}": "READ"}
    page = page_text(root.post("/console/keys/new", form))
    root.server.secrets.update(re.findall(r"hgk_\w{43}_\w{8}", page))
    assert "has none of these rights now" in page
    assert "cannot log in" not in page_text(root.get("/console/keys"))
    root.post(f"/console/users/{ANN_ID}/status", {"status": "disabled"})
    assert "cannot log in" in page_text(root.get("/console/keys"))


def test_the_page_says_from_which_privilege_to_which_a_change_leads(root: Visitor) -> None:
    form = rights_form(root, TODD_ID) | {f"grant.{SHOP}": "WRITE", "admin": "yes"}
    page = page_text(root.follow(root.post(f"/console/users/{TODD_ID}/rights", form)))
    assert "Rights changed. now an administrator, shop: READ → WRITE." in page


def test_a_session_that_has_ended_is_told_as_such(running: LocalServer) -> None:
    todd = Visitor(running, *TODD)
    send(running, "POST", "/api/sessions/revoke", {"users": ["todd"]})
    answer = todd.get("/console/keys")
    assert answer.headers["Location"] == "/login?redirect=%2Fconsole%2Fkeys&notice=ended"
    assert "Your session has ended. Sign in again." in page_text(todd.get("/login?notice=ended"))
