"""AuthZEN's endpoints: decisions and searches for administrators, and the refusals of others."""

import json
from typing import Any

import pytest

from support.local_server import LocalServer
from support.servers import ROOT, Answer

TODD = ("todd", "Todd-1")


@pytest.fixture
def full(server: LocalServer) -> LocalServer:
    return server.bootstrap(
        "CREATE DATABASE a; CREATE DATABASE b; CREATE USER todd WITH PASSWORD 'Todd-1';"
        "CREATE USER ann WITH PASSWORD 'Ann-1'; GRANT READ ON a TO todd; GRANT ALL ON a TO ann"
    )


def question(subject: str = "todd", action: str = "READ", resource: str = "a") -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "database", "id": resource},
    }


def ask(
    server: LocalServer, path: str, content: object, login: tuple[str, str] | None = ROOT
) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return server.request("POST", f"/access/v1/{path}", body, {"X-Request-ID": "q1"}, login)


@pytest.mark.parametrize(
    ("subject", "action", "resource", "decision"),
    [
        ("todd", "READ", "a", True),
        ("todd", "read", "a", True),
        ("todd", "WRITE", "a", False),
        ("todd", "ALL", "a", False),
        ("todd", "READ", "b", False),
        ("todd", "READ", "gone", False),
        ("ann", "ALL", "a", True),
        ("ghost", "READ", "a", False),
        ("root", "ALL", "b", True),
        ("root", "READ", "gone", False),
    ],
)
def test_a_decision_follows_the_grants(
    full: LocalServer, subject: str, action: str, resource: str, decision: bool
) -> None:
    answer = ask(full, "evaluation", question(subject, action, resource))
    assert (answer.status, answer.json) == (200, {"decision": decision})
    assert answer.headers["X-Request-ID"] == "q1"


def test_several_decisions_share_members(full: LocalServer) -> None:
    whole = question()
    whole["evaluations"] = [
        {},
        {"resource": {"type": "database", "id": "b"}},
        {"subject": {"type": "user", "id": "ann"}, "action": {"name": "ALL"}},
    ]
    expected = {"evaluations": [{"decision": True}, {"decision": False}, {"decision": True}]}
    assert ask(full, "evaluations", whole).json == expected
    assert ask(full, "evaluations", question()).json == {"decision": True}


def test_searches_list_users_and_databases(full: LocalServer) -> None:
    whole = question() | {"subject": {"type": "user"}}
    found = ask(full, "search/subject", whole).json
    assert [one["id"] for one in found["results"]] == ["root", "todd", "ann"]
    writers = ask(full, "search/subject", whole | {"action": {"name": "WRITE"}}).json
    assert [one["id"] for one in writers["results"]] == ["root", "ann"]
    missing = whole | {"resource": {"type": "database", "id": "gone"}}
    assert ask(full, "search/subject", missing).json["results"] == []
    for user, databases in (("todd", ["a"]), ("root", ["a", "b"]), ("ghost", [])):
        asked = question(user) | {"resource": {"type": "database"}}
        found = ask(full, "search/resource", asked).json
        assert [one["id"] for one in found["results"]] == databases


def test_a_search_goes_on_at_the_next_token(
    full: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate_server.api.authzen._PAGE_SIZE", 2)
    whole = question() | {"subject": {"type": "user"}}
    first = ask(full, "search/subject", whole).json
    token = first["page"]["next_token"]
    rest = ask(full, "search/subject", whole | {"page": {"token": token}}).json
    ids = [one["id"] for one in first["results"] + rest["results"]]
    assert ids == ["root", "todd", "ann"] and rest["page"]["next_token"] == ""


@pytest.mark.parametrize("path", ["evaluation", "evaluations", "search/subject", "search/resource"])
def test_only_administrators_may_ask(full: LocalServer, path: str) -> None:
    assert ask(full, path, question(), TODD).status == 403
    assert ask(full, path, question(), None).status == 401
    assert ask(full, path, question(), ("root", "wrong")).status == 401
    assert full.request("GET", f"/access/v1/{path}", basic=ROOT).status == 405


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the body is no valid JSON"),
        (b"[" * 60_000, "the body is no valid JSON"),
        ([], "expected a JSON object"),
        ({}, "subject.type: expected user"),
        (question() | {"subject": {"type": "group", "id": "x"}}, "subject.type: expected user"),
        (question() | {"subject": {"type": "user", "id": 3}}, "subject.id: expected a text"),
        (question() | {"resource": {"type": "table", "id": "x"}}, "resource.type: expected data"),
        (question(action="OWN"), "action.name: expected READ, WRITE or ALL"),
        (question() | {"action": "READ"}, "action.name: expected READ, WRITE or ALL"),
    ],
)
def test_an_invalid_question_is_refused(full: LocalServer, content: object, error: str) -> None:
    answer = ask(full, "evaluation", content)
    assert answer.status == 400 and answer.json["error"].startswith(error)


@pytest.mark.parametrize("evaluations", [{}, [1], [{}] * 1001])
def test_an_invalid_list_is_refused(full: LocalServer, evaluations: object) -> None:
    answer = ask(full, "evaluations", question() | {"evaluations": evaluations})
    assert answer.status == 400 and "evaluations: expected" in answer.json["error"]
    bad = question() | {"subject": {"type": "user"}, "page": {"token": "x"}}
    assert ask(full, "search/subject", bad).status == 400
