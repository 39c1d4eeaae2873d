"""`headgate init`, `import` and `export` on store files, and the first users of a server."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.meta_db import MetaData, MetaDatabase, MetaPolicy, MetaUser, encode_meta, parse_meta
from headgate_engine import Engine, Passwords, SqliteStore, apply_changes
from headgate_server import Settings
from headgate_server.serving.store_preparation import plan_first_users
from support.command_here import run_command
from support.local_server import LocalServer
from support.servers import ROOT, Server

HASH = "$2b$04$" + "a" * 53
HOUR = 3_600 * 10**9
AUTOGEN = MetaPolicy("autogen", 0, 168 * HOUR, 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


def headgate(*arguments: str, entered: str = "") -> tuple[int, str, str]:
    """Returns the exit status, the output and the errors of a command."""
    environment = os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"}
    done = run_command(*arguments, stdin=entered, environment=environment)
    return done.returncode, done.stdout, done.stderr


def init(store: Path, name: str = "root", file: str = "-", entered: str = "") -> tuple[int, str]:
    arguments = ("init", "--store", str(store), "--admin", name, "--password-file", file)
    status, out, errors = headgate(*arguments, entered=entered)
    return status, out + errors


def test_init_makes_the_first_administrator_once(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("Toor-1\nsecond line\n")
    assert init(store, file=str(file)) == (0, f"{store}: created the administrator root\n")
    unchanged = f"{store}: has an administrator already; nothing was changed\n"
    assert init(store, entered="Other-1\n") == (0, unchanged)
    other = unchanged.replace("already;", "already, but ann is none;")
    assert init(store, "ann", entered="Other-1\n") == (0, other)
    server = LocalServer(store, (), {}).start()
    try:
        assert server.query("SHOW USERS", ROOT).rows() == [["root", True]]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("file", "entered", "reason"),
    [
        ("-", "", "no password was given"),
        ("-", "\n", "no password was given"),
        ("/nonexistent", "", "--password-file: /nonexistent: No such file or directory"),
        ("/dev/null", "", "--password-file: /dev/null: the first line is empty"),
    ],
)
def test_without_a_password_init_creates_nothing(
    store: Path, file: str, entered: str, reason: str
) -> None:
    status, said = init(store, file=file, entered=entered)
    assert status == 1 and reason in said and said.count("\n") == 1
    assert not store.exists()


def test_an_invalid_password_or_name_is_one_line(store: Path) -> None:
    for name, password in (("root", "p" * 73), ("", "Toor-1")):
        status, said = init(store, name, entered=f"{password}\n")
        assert status == 1 and said.count("\n") == 1 and "p" * 73 not in said
        assert not store.exists()


def test_init_leaves_a_user_of_that_name_alone(store: Path) -> None:
    meta = store.with_name("meta.db")
    meta.write_bytes(encode_meta(MetaData([], [MetaUser("root", HASH, False, {})])))
    assert headgate("import", "influxdb", str(meta), "--store", str(store))[0] == 0
    status, said = init(store, entered="Toor-1\n")
    assert status == 1 and "headgate admin grant-admin" in said


def test_an_import_says_what_it_takes_and_what_it_leaves_out(store: Path, tmp_path: Path) -> None:
    week = MetaPolicy("week", 168 * HOUR, 24 * HOUR, 1)
    data = MetaData(
        [
            MetaDatabase("a", "week", [AUTOGEN, week]),
            MetaDatabase("b/c", "autogen", [AUTOGEN]),
            MetaDatabase("short", "autogen", [MetaPolicy("autogen", 1, 1, 1)]),
        ],
        [
            MetaUser("todd", HASH, True, {"a": 1, "gone": 3, "short": 9}),
            MetaUser("md5", "$1$" + "x" * 30, False, {}),
            MetaUser("slow", "$2a$31$" + "a" * 53, False, {}),
            MetaUser("none", HASH, False, {"a": 0}),
        ],
    )
    meta = tmp_path / "meta.db"
    meta.write_bytes(encode_meta(data))
    status, out, errors = headgate("import", "influxdb", str(meta), "--store", str(store))
    assert status == 1  # users were refused
    assert out.splitlines() == [
        "CREATE DATABASE a",
        "CREATE RETENTION POLICY week ON a DURATION 1w REPLICATION 1 SHARD DURATION 1d DEFAULT",
        "CREATE DATABASE short",
        "CREATE USER todd WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
        "GRANT READ ON a TO todd",
        "CREATE USER none WITH PASSWORD [REDACTED]",
        "REVOKE ALL PRIVILEGES ON a FROM none",
        f"{store}: 7 changes made, 7 left out",
    ]
    left_out = [line.removeprefix("left out: ") for line in errors.splitlines()]
    refused = "the password hash is not one of bcrypt with a cost of 4 to 14"
    assert left_out == [
        "database b/c: invalid name",
        "retention policy autogen on short: retention policy duration must be at least 1h0m0s",
        "the default retention policy of short: it is autogen in Headgate",
        "grant on gone to todd: the database does not exist",
        "grant on short to todd: unknown privilege 9",
        f"user md5: {refused}",
        f"user slow: {refused}",
    ]
    again = headgate("import", "influxdb", str(meta), "--store", str(store))
    assert again[1] == f"{store}: 0 changes made, 5 left out\n"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"\x08\x01", None])
def test_another_file_is_refused_and_changes_nothing(
    store: Path, tmp_path: Path, content: bytes | None
) -> None:
    meta = tmp_path / "meta.db"
    if content is not None:
        meta.write_bytes(content)
    status, out, errors = headgate("import", "influxdb", str(meta), "--store", str(store))
    assert status == 1 and str(meta) in errors and errors.count("\n") == 1 and not out
    assert not store.exists()


def test_an_export_is_private_and_replaces_no_file(store: Path, tmp_path: Path) -> None:
    init(store, entered="Toor-1\n")
    target = tmp_path / "meta.db"
    arguments = ("export", "influxdb", str(store), str(target))
    assert headgate(*arguments) == (0, f"{target}: 1 user, 0 databases\n", "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (user,) = parse_meta(target.read_bytes()).users
    assert user.name == "root" and user.admin
    status, _, errors = headgate(*arguments)
    assert (status, errors) == (
        1,
        f"headgate: {target}: exists already: name another file, or remove it\n",
    )


IMAGE = {
    "INFLUXDB_DB": "telegraf",
    "INFLUXDB_ADMIN_USER": ROOT[0],
    "INFLUXDB_ADMIN_PASSWORD": ROOT[1],
    "INFLUXDB_USER": "agent",
    "INFLUXDB_USER_PASSWORD": "Agent-1",
    "INFLUXDB_READ_USER": "grafana",
    "INFLUXDB_READ_USER_PASSWORD": "Grafana-1",
    "INFLUXDB_WRITE_USER": "writer",
    "INFLUXDB_WRITE_USER_PASSWORD": "Writer-1",
}


@pytest.mark.slow
def test_the_variables_of_influxdbs_image_make_the_first_users(
    serve: Callable[..., LocalServer],
) -> None:
    server = serve(**IMAGE)
    assert server.query("SHOW DATABASES", ROOT).rows() == [["telegraf"]]
    users = [["root", True], ["agent", False], ["grafana", False], ["writer", False]]
    assert server.query("SHOW USERS", ROOT).rows() == users
    for name, password, privilege in [
        ("agent", "Agent-1", "ALL PRIVILEGES"),
        ("grafana", "Grafana-1", "READ"),
        ("writer", "Writer-1", "WRITE"),
    ]:
        grants = server.query(f"SHOW GRANTS FOR {name}", ROOT).rows()
        assert grants == [["telegraf", privilege]]
        assert server.query("SHOW DATABASES", (name, password)).status == 200
    assert "set-up token" not in server.log()
    # A later start changes nothing, also without the variables' passwords.
    server.query("SET PASSWORD FOR root = 'New-1'", ROOT)
    server.query("DROP USER agent", ("root", "New-1"))
    server.stop()
    server.environment["INFLUXDB_ADMIN_PASSWORD"] = ""
    server.start()
    assert server.query("SHOW USERS", ("root", "New-1")).rows() == [users[0], *users[2:]]


def test_headgates_own_variables_name_a_file(
    serve: Callable[..., LocalServer], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{ROOT[1]}\n")
    server = serve(HEADGATE_ADMIN_USER=ROOT[0], HEADGATE_ADMIN_PASSWORD_FILE=str(file))
    assert server.query("SHOW USERS", ROOT).rows() == [["root", True]]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"HEADGATE_ADMIN_USER": "root"}, "set HEADGATE_ADMIN_PASSWORD_FILE"),
        ({"INFLUXDB_ADMIN_USER": "root"}, "set INFLUXDB_ADMIN_PASSWORD_FILE"),
        (
            {"INFLUXDB_USER": "x", "INFLUXDB_USER_PASSWORD": "X-1"},
            "INFLUXDB_USER: the first user must be an administrator",
        ),
        (
            {"HEADGATE_ADMIN_USER": "x", "HEADGATE_ADMIN_PASSWORD_FILE": "/nonexistent"},
            "HEADGATE_ADMIN_PASSWORD_FILE: /nonexistent: No such file",
        ),
        (
            IMAGE | {"INFLUXDB_USER": "root"},
            "two of the first users in the environment have the same name",
        ),
        (IMAGE | {"INFLUXDB_DB": "a/b"}, "invalid name"),
        (
            {"HEADGATE_ADMIN_NAME": "root"},
            "HEADGATE_ADMIN_NAME: no such setting, did you mean HEADGATE_ADMIN_USER?",
        ),
        (
            {"HEADGATE_ADMIN_PASSWORD_FILE": "x"},
            "HEADGATE_ADMIN_PASSWORD_FILE is set without a user: set HEADGATE_ADMIN_USER, too",
        ),
        ({"INFLUXDB_READ_USER_PASSWORD": "X-1"}, "set INFLUXDB_READ_USER, too"),
    ],
)
def test_incomplete_variables_prevent_the_start(
    tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    store = tmp_path / "users.db"
    server: Server = LocalServer(store, (), variables)
    assert reason in server.attempt()
    assert not store.exists()
    done = run_command(
        "serve", "--store", str(store), "--check", environment=os.environ | variables
    )
    assert done.returncode == 1 and reason in done.stderr and not store.exists()
    assert not variables.get("INFLUXDB_USER_PASSWORD") or "X-1" not in server.log()


def test_first_users_are_made_by_one_of_several_processes(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "users.db"))
    settings = Settings(store_path=str(tmp_path / "users.db"), bcrypt_cost=4)
    plan = plan_first_users(settings, IMAGE)
    # Another process makes the first administrator between the plan and its transaction.
    Engine(store, Passwords(cost=4)).create_user("other", "Other-1", admin=True)
    assert not apply_changes(Engine(store), plan, require=lambda tx: tx.empty())
    assert [user.name for user in store.users()] == ["other"]
    store.close()


def test_names_with_controls_cannot_write_to_a_terminal(store: Path, tmp_path: Path) -> None:
    meta = tmp_path / "meta.db"
    meta.write_bytes(encode_meta(MetaData([], [MetaUser("a\x1b[31m\nb", HASH, False, {})])))
    out = headgate("import", "influxdb", str(meta), "--store", str(store))[1]
    assert "\x1b" not in out and "\\x1b[31m" in out and len(out.splitlines()) == 2


def test_an_export_without_the_databases_of_its_base_says_so(store: Path, tmp_path: Path) -> None:
    base, target = tmp_path / "base.db", tmp_path / "new.db"
    base.write_bytes(encode_meta(MetaData([MetaDatabase("a", "autogen", [AUTOGEN])], [])))
    init(store, entered="Toor-1\n")
    state = tmp_path / "state.toml"
    state.write_text('databases = ["a", "b"]')
    assert headgate("apply", str(state), "--store", str(store))[0] == 0
    arguments = ("export", "influxdb", str(store), str(target), "--base", str(base))
    status, _, errors = headgate(*arguments)
    assert (status, errors) == (0, f"{base} lacks the database b: it is new\n")
    assert [one.name for one in parse_meta(target.read_bytes()).databases] == ["a", "b"]
    base.write_bytes(b"")  # an empty file is no base
    target.unlink()
    status, _, errors = headgate(*arguments)
    assert status == 1 and f"{base} is no meta.db" in errors and not target.exists()
