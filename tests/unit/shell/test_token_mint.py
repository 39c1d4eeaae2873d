"""`headgate token mint`: for users that exist, and for a time that ends."""

import os
from contextlib import closing
from pathlib import Path

import jwt
import pytest

from headgate_engine import UNRESTRICTED, Engine, Passwords, SqliteStore
from support.command_here import run_command

SECRET = "s" * 40


def mint(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, token, errors."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("HEADGATE_")}
    environment = clean | {"HEADGATE_HTTP_SHARED_SECRET": SECRET} | environment
    done = run_command("token", "mint", *arguments, environment=environment, folder=str(folder))
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as made:
        Engine(made, Passwords(4)).query("CREATE USER todd WITH PASSWORD 'x'", UNRESTRICTED)
    return path


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--username", "todd"), ""),
        (("--username", "todd", "--exp", "365d"), ""),
        (("--username", "todd", "--exp", "366d"), "--exp 366d is more than 365d"),
        (("--username", "todd", "--exp", "9999d"), "--exp 9999d is more than 365d"),
        (("--username", "Todd"), "there is no user 'Todd' in store"),
        (("--username", "ann", "--exp", "9999d"), "--exp 9999d is more than 365d"),
    ],
)
@pytest.mark.parametrize("given", ["flag", "environment"])
def test_a_token_that_would_not_be_wanted_needs_force(
    store: Path, arguments: tuple[str, ...], error: str, given: str
) -> None:
    place = ("--store", str(store)) if given == "flag" else ()
    variables = {} if place else {"HEADGATE_STORE_PATH": str(store)}
    status, token, errors = mint(store.parent, *arguments, *place, **variables)
    if not error:
        assert (status, errors) == (0, "") and jwt.decode(token, SECRET, ["HS256"])
        return
    assert (status, token, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"headgate: {error}") and "--force" in errors
    status, token, errors = mint(store.parent, *arguments, *place, "--force", **variables)
    assert status == 0 and f"headgate: {error}" in errors and SECRET not in errors
    assert jwt.decode(token, SECRET, ["HS256"])["username"] == arguments[1]


def test_without_a_store_it_is_said_that_the_user_was_not_checked(tmp_path: Path) -> None:
    status, token, errors = mint(tmp_path, "--username", "todd")
    assert status == 0 and jwt.decode(token, SECRET, ["HS256"])["username"] == "todd"
    assert errors == (
        "headgate: the user 'todd' was not checked: there is no store headgate.db, the default of"
        " --store\n"
    )
    assert not list(tmp_path.iterdir())
    status, token, errors = mint(tmp_path, "--username", "todd", "--store", "users.db")
    assert (status, token) == (1, "") and "cannot be checked: there is no store users.db" in errors
    assert not list(tmp_path.iterdir())
