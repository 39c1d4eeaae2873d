"""`headgate key`, `user` and `session`: on a store file, while a server uses it."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_engine import Engine, Passwords, SqliteStore, key_fault, new_key_text
from support.command_here import run_command
from support.local_server import LocalServer
from support.servers import ROOT


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "users.db"
    opened = SqliteStore(path)
    engine = Engine(opened, Passwords(4))
    engine.create_user("root", "Toor-1", admin=True)
    engine.create_database("shop")
    engine.create_user("todd", "s3cret")
    opened.close()
    return path


def headgate(*arguments: str | Path, input: str = "") -> tuple[int, list[str], str]:
    environment = os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"}
    done = run_command(*map(str, arguments), environment=environment, stdin=input)
    return done.returncode, done.stdout.splitlines(), done.stderr


SECRET = "hgk_Zk7secretZk7"


@pytest.mark.parametrize(
    "arguments",
    [
        (SECRET,),
        ("key", SECRET),
        ("user", SECRET),
        ("key", "revoke", SECRET),
        ("key", "rotate", SECRET),
        ("key", "revoke", SECRET, "--server", "http://127.0.0.1:9"),
        ("key", "check", SECRET),
        ("key", "list", f"--json={SECRET}"),
        ("key", "list", SECRET),
        ("key", "create", "--user", "todd", "--name", "n", "--role", SECRET),
        ("user", "add", "a", f"-{SECRET}"),
        ("user", "add", "a", f"hunter2 -{SECRET}"),
        ("user", "add", "a", "--password", SECRET),
        ("key", "create", "--user", "todd", "--name", "n", "--ttl", SECRET),
        ("key", "create", "--user", "todd", "--name", "n", "--grant", SECRET),
        ("key", "list", "--unused", SECRET),
        ("key", "rotate", "1", "--grace", SECRET),
        ("key", "create", f"--s={SECRET}"),
        ("serve", "--workers", SECRET),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(store: Path, arguments: tuple[str, ...]) -> None:
    own = () if "--server" in arguments or len(arguments) < 3 else ("--store", str(store))
    status, lines, errors = headgate(*arguments, *own)
    assert status in (1, 2) and errors.count("\n") == 1
    assert "Zk7" not in errors + "".join(lines)


def test_a_previous_text_is_checked_as_what_it_is(store: Path) -> None:
    place = ("--store", str(store))
    old = headgate("key", "create", "--user", "todd", "--name", "eu", *place)[1][0]
    new = headgate("key", "rotate", "1", "--grace", "1h", *place)[1][0]
    status, lines, _ = headgate("key", "check", *place, input=old + "\n")
    assert status == 0 and lines[0].startswith("the previous text of key 1 eu of todd: ")
    assert re.fullmatch(r"valid until: 20\S+Z", lines[1])
    headgate("key", "revoke", "1", *place)
    for text in (old, new):
        rejected = headgate("key", "check", *place, input=text + "\n")
        assert rejected == (1, [], "headgate: API key revoked\n")
    empty = headgate("key", "check", *place)
    assert empty == (1, [], "headgate: there is no key on standard input\n")


@pytest.mark.slow
def test_a_key_is_made_used_rotated_and_revoked(store: Path) -> None:
    place = ("--store", store)
    create = ("key", "create", "--user", "todd", "--name", "eu")
    status, (text,), errors = headgate(*create, "--grant", "shop=WRITE", "--ttl", "30d", *place)
    warning = "headgate: todd has no WRITE on shop: the key has it only once they have it\n"
    assert (status, errors) == (0, warning)
    assert key_fault(text) == ""
    server = LocalServer(store, (), {}).start()
    server.secrets.add(text)
    try:
        server.query("GRANT ALL ON shop TO todd", ROOT)

        def status_of(key: str) -> int:
            headers = {"Authorization": f"Token {key}"}
            return server.request("GET", "/api/whoami", None, headers).status

        assert status_of(text) == 200
        status, lines, _ = headgate("key", "list", "--json", *place)
        (listed,) = map(json.loads, lines)
        assert listed["grants"] == {"shop": "WRITE"} and listed["user"] == "todd"
        status, (second,), _ = headgate("key", "rotate", listed["id"], "--grace", "0s", *place)
        server.secrets.add(second)
        assert [status_of(key) for key in (text, second)] == [401, 200]
        status, lines, _ = headgate("key", "check", "-", *place, input=second + "\n")
        assert status == 0 and lines[2] == "rights now: WRITE ON shop"
        assert second not in "".join(lines)
        revoked = headgate("key", "revoke", listed["id"], *place)
        assert revoked == (0, [f"key {listed['id']} eu of todd revoked"], "")
        assert status_of(second) == 401
        assert headgate("key", "check", "-", *place, input=second)[2] == (
            "headgate: API key revoked\n"
        )
    finally:
        server.stop()
    audit = "".join(headgate("audit", *place)[1])
    assert "WRITE ON shop" in audit and text[4:20] not in audit


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("key", "create", "--user", "nix", "--name", "a"), "user not found: nix"),
        (("key", "create", "--user", "todd", "--name", ""), "name: expected 1 to 255"),
        (("key", "create", "--user", "todd", "--name", "a", "--grant", "x"), "expected DB=READ"),
        (("key", "create", "--user", "todd", "--name", "a", "--role", "King"), "expected Admin"),
        (("key", "create", "--user", "todd", "--name", "a", "--ttl", "soon"), "--ttl: expec"),
        (("key", "create", "--user", "todd", "--name", "a", "--grant", "x=READ"), "not found: x"),
        (("key", "revoke", "5"), "key 5 not found; see headgate key list"),
        (("key", "rotate", "x"), "expected the id of a key, a number: see headgate key list"),
        (("user", "disable", "root"), "cannot remove the last admin user"),
        (("user", "enable", "nix"), "user not found: nix"),
        (("user", "approve", "todd"), "todd is not pending"),
        (("user", "add", "todd", "--no-password"), "user already exists"),
        (("user", "add", "a", "--no-password", "--email", "x"), "email: expected an address"),
        (("user", "add", "a", "--no-password", "--databases", "x"), "expected --role beside it"),
        (
            ("key", "create", "--user", "todd", "--name", "n", "--ttl", "0d"),
            "--ttl 0d: expected a duration above 0, such as 30d",
        ),
        (
            ("key", "create", "--user", "todd", "--name", "n", "--ttl", "90"),
            "--ttl: expected a duration such as 30d or 12h",
        ),
        (("key", "rotate", "1", "--grace", "900d"), "--grace 900d: expected at most 7d"),
        (
            ("user", "add", "a", "--no-password", "--role", "x"),
            "expected Admin, Editor, Agent, ReadOnly or None",
        ),
        (("user", "disable", "root"), "user root: cannot remove the last admin user"),
        (("session", "revoke", "5"), "session not found: 5"),
        (("session", "prune", "--revoked-older", "soon"), "expected a duration"),
    ],
)
def test_bad_input_is_named(store: Path, arguments: tuple[str, ...], error: str) -> None:
    status, lines, errors = headgate(*arguments, "--store", store)
    assert (status, lines) == (1, [])
    assert errors.startswith("headgate: ") and error in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text, (0, "the form of the key is valid")),
        (lambda text: text[:-1] + "x", (1, "malformed key: the checksum is wrong")),
        (lambda text: "secret", (1, "malformed key: expected hgk_, 43 characters")),
    ],
)
def test_a_key_is_checked_without_a_store(
    change: Callable[[str], str], expected: tuple[int, str]
) -> None:
    status, lines, errors = headgate("key", "check", "-", input=change(new_key_text()) + "\n")
    assert status == expected[0] and expected[1] in "".join(lines) + errors


@pytest.mark.slow
def test_users_are_added_disabled_and_listed(store: Path) -> None:
    place = ("--store", store)
    status, lines, _ = headgate(
        *("user", "add", "agent", "--no-password", "--role", "Agent", *place)
    )
    assert status == 0 and lines[0].startswith("user agent created with the id ")
    added = headgate("user", "add", "ann", "--email", "ann@example.com", *place, input="Ann-1\n")
    assert added[0] == 0
    assert headgate("user", "disable", "ann", *place) == (0, ["ann disabled"], "")
    (shown,) = [json.loads("\n".join(headgate("user", "show", "ann", *place)[1]))]
    assert shown["isDisabled"] and shown["email"] == "ann@example.com" and shown["hasPassword"]
    rows = [json.loads(line) for line in headgate("user", "list", "--json", *place)[1]]
    assert [row["name"] for row in rows] == ["root", "todd", "agent", "ann"]
    assert rows[2]["grants"] == {"shop": "WRITE"} and not rows[2]["hasPassword"]
    table = headgate("user", "list", "--disabled", *place)[1]
    assert len(table) == 2 and table[0].split()[:3] == ["id", "name", "role"]
    assert headgate("user", "enable", "ann", *place) == (0, ["ann enabled"], "")


def test_sessions_are_listed_and_ended(store: Path) -> None:
    opened = SqliteStore(store)
    engine = Engine(opened, Passwords(4))
    user = engine.user("todd")
    assert user is not None
    ids = [engine.sessions.begin(user, "password", address="::1")[0].id for _ in range(3)]
    opened.close()
    place = ("--store", store)
    rows = [json.loads(line) for line in headgate("session", "list", "--json", *place)[1]]
    assert [(row["id"], row["user"]) for row in rows] == [(id, "todd") for id in ids]
    assert headgate("session", "revoke", ids[0], *place)[1] == [f"session {ids[0]} of todd ended"]
    assert headgate("session", "revoke-user", "todd", *place)[1] == ["2 sessions of todd ended"]
    (pruned,) = headgate("session", "prune", "--revoked-older", "0s", *place)[1]
    assert pruned == "deleted 0 expired sessions and 3 revoked; 0 revoked stay"
    (pruned,) = headgate("session", "prune", "--json", *place)[1]
    assert json.loads(pruned) == {"expired": 0, "revoked": 0, "remaining_revoked": 0}
