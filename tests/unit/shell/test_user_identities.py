"""`headgate user link` and `unlink`, on a store file."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from headgate_engine import UNRESTRICTED, Engine, Passwords, SqliteStore
from support.command_here import run_command

IDP = "https://idp.example"


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as store:
        engine = Engine(store, Passwords(4))
        engine.query(
            "CREATE USER todd WITH PASSWORD 'p'; CREATE USER ann WITH PASSWORD 'p'", UNRESTRICTED
        )
    return str(path)


def run(*arguments: str, store: str) -> tuple[int, str]:
    done = run_command("user", *arguments, "--store", store)
    return done.returncode, done.stdout + done.stderr


def identities(name: str, store: str) -> list[tuple[str, str]]:
    shown = json.loads(run("show", name, store=store)[1])
    return [(it["issuer"], it["subject"]) for it in shown["identities"]]


@pytest.mark.slow
def test_an_identity_is_linked_and_unlinked(store: str) -> None:
    assert run("link", "todd", IDP, "42", store=store) == (0, f"todd comes in as {IDP} 42\n")
    assert identities("todd", store) == [(IDP, "42")]
    status, text = run("link", "ann", IDP, "42", store=store)
    assert (status, text.strip()) == (
        1,
        "headgate: user ann: this identity belongs to another user",
    )
    assert run("link", "todd", IDP, "43", store=store)[0] == 1
    status, text = run("unlink", "todd", "https://other", store=store)
    assert status == 1 and "todd has no such identity of https://other" in text
    assert run("unlink", "todd", IDP, "43", store=store)[0] == 1
    assert run("unlink", "todd", IDP, "42", store=store) == (0, f"todd comes in as {IDP} no more\n")
    assert identities("todd", store) == []
    with closing(SqliteStore(store)) as opened:
        texts = [it.statement for it in opened.audit()]
    assert f"-- todd comes in as {IDP} 42: unlinked" in texts
