"""`headgate import pyroscope`: what it takes from a file, and what it leaves out."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from headgate_engine import NO_PASSWORD, Engine, KeyScope, Passwords, SqliteStore, UserStatus
from headgate_grammar import Privilege
from support.command_here import run_command
from support.pyroscope_db import ADMIN, AGENT, READ_ONLY, PyroscopeFile

EXPIRY = "2031-02-03 04:05:06.7+02:00"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "users.db"
    opened = SqliteStore(path)
    engine = Engine(opened, Passwords(4))
    for database in ("shop", "bank", "_internal"):
        engine.create_database(database)
    engine.create_user("root", "Toor-1", admin=True)
    opened.close()
    return path


@pytest.fixture
def source(tmp_path: Path) -> PyroscopeFile:
    return PyroscopeFile(tmp_path / "pyroscope.db")


def take(
    source: PyroscopeFile | Path, store: Path, *flags: str
) -> tuple[int, list[str], list[str]]:
    """Returns the status, the lines of the plan, and the lines of the parts left out."""
    path = source.path if isinstance(source, PyroscopeFile) else source
    arguments = ("import", "pyroscope", str(path), "--store", str(store), *flags)
    done = run_command(*arguments, environment=os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"})
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def opened(store: Path) -> Engine:
    return Engine(SqliteStore(store), Passwords(4))


def fill(source: PyroscopeFile) -> None:
    source.add_user("ann", role=READ_ONLY, email="Ann@example.com", full_name="Ann Ünal")
    source.add_user("agent 日本", role=AGENT)
    source.add_user("boss", role=ADMIN, email="boss@example.com")
    source.add_user("gone", role=AGENT, disabled=True)
    source.add_user("octocat", role=READ_ONLY, external=True, email="o@example.com")
    source.add_user("root", role=READ_ONLY)
    source.add_key("eu", AGENT)
    source.add_key("us", READ_ONLY, expires_at=EXPIRY)


PLAN = """\
CREATE USER ann WITH PASSWORD [REDACTED]
GRANT READ ON shop TO ann
GRANT READ ON bank TO ann
-- account ann: profile
CREATE USER "agent 日本" WITH PASSWORD [REDACTED]
GRANT WRITE ON shop TO "agent 日本"
GRANT WRITE ON bank TO "agent 日本"
CREATE USER boss WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES
-- account boss: profile
CREATE USER gone WITH PASSWORD [REDACTED]
GRANT WRITE ON shop TO gone
GRANT WRITE ON bank TO gone
-- account gone: disabled
CREATE USER octocat -- no password
GRANT READ ON shop TO octocat
GRANT READ ON bank TO octocat
-- account octocat: profile
CREATE USER pyroscope -- no password
GRANT ALL PRIVILEGES ON shop TO pyroscope
GRANT ALL PRIVILEGES ON bank TO pyroscope
-- key eu of pyroscope made: WRITE ON *
-- key us of pyroscope made: READ ON *, until 2031-02-03T02:05:06Z
""".splitlines()


def test_users_and_keys_are_taken_in_one_audited_change(source: PyroscopeFile, store: Path) -> None:
    fill(source)
    status, lines, left_out = take(source, store)
    assert (status, lines[:-1]) == (0, PLAN)
    assert lines[-1] == f"{store}: 22 changes made, 1 left out"
    assert left_out == ["left out: user root: exists already and stays as it is"]
    engine = opened(store)
    read, write = Privilege.READ, Privilege.WRITE
    expected = {
        "ann": ({"shop": read, "bank": read}, False, UserStatus.ACTIVE, True),
        "agent 日本": ({"shop": write, "bank": write}, False, UserStatus.ACTIVE, True),
        "boss": ({}, True, UserStatus.ACTIVE, True),
        "gone": ({"shop": write, "bank": write}, False, UserStatus.DISABLED, True),
        "octocat": ({"shop": read, "bank": read}, False, UserStatus.ACTIVE, False),
    }
    for name, (grants, admin, state, has_password) in expected.items():
        user = engine.user(name)
        assert user is not None
        assert (dict(user.grants), user.admin, user.status) == (grants, admin, state), name
        assert (user.hash != NO_PASSWORD) == has_password, name
    profile = engine.accounts.profile(engine.authenticate("ann", "s3cret"))
    assert (profile.email, profile.full_name) == ("Ann@example.com", "Ann Ünal")
    assert not profile.email_verified
    eu, us = engine.api_keys.keys()
    assert (eu.owner, eu.scope, eu.expires_at) == ("pyroscope", KeyScope(everywhere=write), 0)
    assert (us.scope, us.created_at) == (KeyScope(everywhere=read), 1_672_671_845)
    record = engine.store.audit()[-1]
    assert record.statement.split("; ") == PLAN and record.address.startswith("local")
    assert not engine.passwords.verify(engine.user("octocat"), "s3cret")


def test_a_dry_run_prints_the_plan_and_writes_nothing(source: PyroscopeFile, store: Path) -> None:
    fill(source)
    before = hashlib.sha256(store.read_bytes()).digest()
    status, lines, left_out = take(source, store, "--dry-run")
    assert (status, lines[:-1]) == (0, PLAN)
    assert lines[-1] == f"{store}: 22 changes would be made, 1 left out"
    assert hashlib.sha256(store.read_bytes()).digest() == before
    assert take(source, store)[1:] == ([*PLAN, f"{store}: 22 changes made, 1 left out"], left_out)
    again = take(source, store)
    assert again[1] == [f"{store}: 0 changes made, 8 left out"]
    assert "left out: key eu: pyroscope has a key with this name, which stays" in again[2]


def test_a_dry_run_creates_no_store(source: PyroscopeFile, tmp_path: Path) -> None:
    source.add_user("ann", role=AGENT)
    source.add_user("boss", role=ADMIN)
    missing = tmp_path / "new.db"
    wanted = ("--databases", "shop,web")
    status, lines, left_out = take(source, missing, *wanted, "--dry-run")
    assert (status, left_out) == (0, []) and not missing.exists()
    assert lines[:-1] == [
        "CREATE DATABASE shop",
        "CREATE DATABASE web",
        "CREATE USER ann WITH PASSWORD [REDACTED]",
        "GRANT WRITE ON shop TO ann",
        "GRANT WRITE ON web TO ann",
        "CREATE USER boss WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
    ]
    assert take(source, missing, *wanted)[1][:-1] == lines[:-1]


def test_a_store_without_databases_gives_no_rights_and_stays_as_it_is(
    source: PyroscopeFile, tmp_path: Path
) -> None:
    source.add_user("ann", role=AGENT)
    missing = tmp_path / "new.db"
    status, lines, errors = take(source, missing)
    assert (status, lines) == (1, []) and not missing.exists()
    assert errors == [
        "headgate: the store has no databases to give rights on: name them with --databases A,B,"
        " which creates them"
    ]


def test_databases_bound_the_roles_of_users_and_keys(source: PyroscopeFile, store: Path) -> None:
    source.add_user("ann", role=READ_ONLY)
    source.add_key("eu", AGENT)
    status, lines, _ = take(source, store, "--databases", "shop,_internal", "--keys-owner", "bots")
    assert (status, lines[:-1]) == (
        0,
        [
            "CREATE USER ann WITH PASSWORD [REDACTED]",
            "GRANT READ ON shop TO ann",
            "GRANT READ ON _internal TO ann",
            "CREATE USER bots -- no password",
            "GRANT WRITE ON shop TO bots",
            "GRANT WRITE ON _internal TO bots",
            "-- key eu of bots made: WRITE ON shop, WRITE ON _internal",
        ],
    )


@pytest.mark.slow
def test_an_administrators_key_is_taken_on_demand_only(source: PyroscopeFile, store: Path) -> None:
    source.add_key("boss", ADMIN)
    source.add_key("eu", AGENT)
    status, lines, left_out = take(source, store, "--dry-run")
    assert left_out == ["left out: key boss: its role is Admin: --admin-keys takes it"]
    assert "CREATE USER pyroscope -- no password" in lines and status == 0
    _, lines, left_out = take(source, store, "--admin-keys", "--dry-run")
    # The key of an agent stays within the databases, though its owner has all of them.
    assert (left_out, lines[:-1]) == (
        [],
        [
            "CREATE USER pyroscope -- no password WITH ALL PRIVILEGES",
            "-- key boss of pyroscope made: ALL PRIVILEGES",
            "-- key eu of pyroscope made: WRITE ON shop, WRITE ON bank",
        ],
    )
    assert take(source, store)[0] == 0  # now the owner is there, and no administrator
    _, lines, left_out = take(source, store, "--admin-keys")
    assert len(lines) == 1
    assert "its role is Admin, and pyroscope is no administrator" in left_out[0]


def test_an_existing_owner_of_the_keys_gains_no_right(source: PyroscopeFile, store: Path) -> None:
    source.add_key("eu", AGENT)
    engine = opened(store)
    engine.create_user("todd", "s3cret")
    engine.grant(Privilege.WRITE, "shop", "todd")
    _, lines, left_out = take(source, store, "--keys-owner", "todd")
    assert lines[:-1] == ["-- key eu of todd made: WRITE ON *"]
    assert left_out == [
        "left out: GRANT WRITE ON bank TO todd: the user exists already and stays as it is"
    ]
    todd = engine.user("todd")
    assert todd is not None and dict(todd.grants) == {"shop": Privilege.WRITE}


def test_invalid_records_are_left_out_and_the_others_are_taken(
    source: PyroscopeFile, store: Path
) -> None:
    source.add_user("ann", email="no address", full_name="a\x1bb")
    source.add_user("slow", hash=b"$2a$31$" + b"a" * 53)
    source.add_user("odd", role=9)
    source.add_key("a\nb")
    source.add_key("psx-secret")
    source.add_key("when", expires_at="soon")
    source.add_key("plain", hash=b"plain")
    source.add_key("king", 9)
    status, lines, left_out = take(source, store)
    assert status == 1
    assert [line for line in lines if "GRANT" not in line][:-1] == [
        "CREATE USER ann WITH PASSWORD [REDACTED]",
        "CREATE USER odd WITH PASSWORD [REDACTED]",
    ]
    bcrypt = "the password hash is not one of bcrypt with a cost of 4 to 14"
    assert [line.removeprefix("left out: ") for line in left_out] == [
        "profile of user ann: email: expected an address such as todd@example.com",
        "profile of user ann: fullName: a control character",
        f"user slow: {bcrypt}",
        "role of odd: it is unknown",
        "key a\\nb: its name needs 1 to 255 characters, no control characters",
        "key number 2: its name looks like a key",
        "key when: the time when it expires cannot be read",
        f"key plain: {bcrypt}",
        "key king: its role is unknown",
    ]


def test_flags_that_fit_no_import_are_one_line(source: PyroscopeFile, store: Path) -> None:
    source.add_user("pyroscope")
    source.add_key("eu")
    for flags, error in (
        (("--databases", "shop,"), "--databases shop,: invalid name"),
        ((), "user pyroscope is in the file: name another owner of the keys with --keys-owner"),
        (("--keys-owner", ""), "username required"),
    ):
        assert take(source, store, *flags) == (1, [], [f"headgate: {error}"])
    assert take(source, store, "--keys-owner", "agents")[0] == 0


def test_a_file_of_another_kind_is_one_line(store: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database at all, " * 100)
    for path in (text, store, tmp_path / "missing.db", tmp_path, Path(os.devnull)):
        status, lines, errors = take(path, store)
        assert (status, lines, len(errors)) == (1, [], 1), path
        there = path.exists()
        wrong = " is no pyroscope.db of Pyroscope" if there else ": No such file or directory"
        assert f"{path}{wrong}" in errors[0]
    assert not (tmp_path / "missing.db").exists()


def test_the_file_and_its_folder_may_be_read_only(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd name?#%41"
    folder.mkdir()
    source = PyroscopeFile(folder / "pyroscope.db")
    source.add_user("ann")
    before = source.path.read_bytes()
    source.path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert take(source, store)[0] == 0
    finally:
        folder.chmod(0o755)
    assert source.path.read_bytes() == before and list(folder.iterdir()) == [source.path]


def test_an_import_shows_no_hash(source: PyroscopeFile, store: Path) -> None:
    fill(source)
    _, lines, left_out = take(source, store)
    audit = json.dumps([record.statement for record in opened(store).store.audit()])
    assert "$2" not in "".join([*lines, *left_out, audit])
