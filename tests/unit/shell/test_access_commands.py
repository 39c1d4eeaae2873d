"""`headgate access` and `headgate can` on a store file."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate_engine import UNRESTRICTED, Engine, Passwords, SqliteStore
from support.command_here import run_command

SETUP = (
    "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES; CREATE DATABASE a;"
    'CREATE DATABASE "b|é"; CREATE USER todd WITH PASSWORD \'t\'; CREATE USER "x\\nz" WITH PASSWORD'
    ' \'x\'; GRANT READ ON a TO todd; GRANT ALL ON "b|é" TO todd; GRANT WRITE ON a TO "x\\nz"'
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "users.db"
    opened = SqliteStore(path)
    for result in Engine(opened, Passwords(cost=4)).query(SETUP, UNRESTRICTED):
        assert not result.error
    opened.close()
    yield path


def run(command: str, store: Path, *arguments: str) -> tuple[int, str, str]:
    """Returns the exit status, the output and the errors of a command."""
    done = run_command(command, *arguments, "--store", str(store))
    return done.returncode, done.stdout, done.stderr


def access(store: Path, *arguments: str) -> str:
    status, out, errors = run("access", store, *arguments)
    assert (status, errors) == (0, "")
    return out


def test_the_table_has_a_row_for_each_user_and_a_column_for_each_database(store: Path) -> None:
    assert access(store).splitlines() == [
        "user  a  b|é",
        "----  -  ---",
        "root  A  A",
        "todd  R  RW",
        "x\\nz  W",
    ]


def test_other_formats_have_the_same_content(store: Path) -> None:
    rows = list(csv.reader(io.StringIO(access(store, "--format", "csv"))))
    assert rows == [
        ["user", "a", "b|é"],
        ["root", "A", "A"],
        ["todd", "R", "RW"],
        ["x\nz", "W", ""],
    ]
    assert access(store, "--format", "markdown").splitlines()[:4] == [
        "| user | a | b\\|é |",
        "|---|---|---|",
        "| root | A | A |",
        "| todd | R | RW |",
    ]
    lines = map(json.loads, access(store, "--format", "json").splitlines())
    assert list(lines) == [
        {"user": "root", "admin": True, "grants": {}},
        {"user": "todd", "admin": False, "grants": {"a": "READ", "b|é": "ALL PRIVILEGES"}},
        {"user": "x\nz", "admin": False, "grants": {"a": "WRITE"}},
    ]


def test_a_user_or_a_database_can_be_chosen(store: Path) -> None:
    assert access(store, "--user", "todd").splitlines()[2:] == ["todd  R  RW"]
    assert access(store, "--database", "b|é").splitlines()[2:] == ["root  A", "todd  RW"]
    for flag, reason in (
        ("--user", "user not found: no"),
        ("--database", "database not found: no"),
    ):
        assert run("access", store, flag, "no") == (1, "", f"headgate: {reason}\n")
    missing = store.with_name("missing.db")
    status, out, errors = run("access", missing)
    assert (status, out) == (1, "") and str(missing) in errors and not missing.exists()


@pytest.mark.parametrize(
    ("user", "query", "database", "status", "expected"),
    [
        ("todd", "SELECT * FROM m", "a", 0, "yes  READ on a: the grant READ on a"),
        ("todd", 'SELECT * FROM "b|é".."m"', "", 0, "the grant ALL PRIVILEGES on b|é"),
        ("todd", "SELECT * INTO a..x FROM m", "a", 1, "no   WRITE on a: the grant READ on a"),
        ("todd", "SELECT * FROM m", "gone", 1, "no   READ on gone: the database gone does not"),
        ("x\nz", "SELECT * FROM m", "b|é", 1, "the user has no grant on b|é"),
        ("todd", "SHOW USERS", "", 1, "no   admin privilege: only administrators have it"),
        ("root", "SHOW USERS", "", 0, "yes  admin privilege: the user is an administrator"),
        ("todd", "SHOW DATABASES", "", 0, "yes  no privilege is required"),
        ("todd", "SHOW DATABASES; SHOW USERS", "", 1, "SHOW USERS"),
        ("todd", "SET PASSWORD FOR todd = 'Secret-9'", "", 1, "[REDACTED]"),
    ],
)
def test_the_reason_of_each_privilege_is_shown(
    store: Path, user: str, query: str, database: str, status: int, expected: str
) -> None:
    found = run("can", store, user, query, "--database", database)
    assert found[0] == status and expected in found[1] and "Secret-9" not in found[1]


@pytest.mark.parametrize(
    ("user", "query", "reason"),
    [
        ("ghost", "SHOW USERS", "headgate: user not found: ghost\n"),
        ("todd", "SELECT * FROM m", "headgate: SELECT * FROM m: names no database: use --database"),
        ("todd", " ; ", "headgate: the query has no statement\n"),
        ("todd", "SHOW", "headgate: error parsing query: found EOF, expected"),
    ],
)
def test_an_unknown_user_or_invalid_query_is_one_line(
    store: Path, user: str, query: str, reason: str
) -> None:
    status, _, errors = run("can", store, user, query)
    assert status == 1 and errors.startswith(reason) and errors.count("\n") == 1
