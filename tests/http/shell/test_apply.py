"""`headgate apply` and `export config` on a store file, with a server on it or not."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_engine import SqliteStore
from support.command_here import run_command
from support.local_server import LocalServer
from support.servers import ROOT
from support.waiting import free_port

STATE = """
databases = ["telegraf", "logs"]
[users.root]
admin = true
password-file = "root.password"
[users.grafana]
password-file = "grafana.password"
grants = {telegraf = "READ", logs = "READ"}
"""
STATEMENTS = [
    "CREATE DATABASE telegraf",
    "CREATE DATABASE logs",
    "CREATE USER root WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
    "CREATE USER grafana WITH PASSWORD [REDACTED]",
    "GRANT READ ON telegraf TO grafana",
    "GRANT READ ON logs TO grafana",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "root.password").write_text(f"{ROOT[1]}\n")
    (tmp_path / "grafana.password").write_text("Grafana-1\n")
    file = tmp_path / "state.toml"
    file.write_text(STATE)
    return file


def headgate(*arguments: str | Path) -> tuple[int, list[str], str]:
    """Returns the exit status, the lines of output, and the errors of a command."""
    environment = os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"}
    done = run_command(*map(str, arguments), environment=environment)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.slow
def test_a_file_is_applied_once_and_then_changes_nothing(file: Path, tmp_path: Path) -> None:
    store = tmp_path / "users.db"
    arguments = ("apply", file, "--store", store)
    status, lines, _ = headgate(*arguments, "--dry-run")
    assert (status, lines) == (2, [*STATEMENTS, f"{store}: 6 changes would be made"])
    assert not store.exists()
    assert headgate(*arguments) == (0, [*STATEMENTS, f"{store}: 6 changes made"], "")
    assert headgate(*arguments) == (0, [f"{store}: 0 changes made"], "")
    assert headgate(*arguments, "--dry-run")[0] == 0
    server = LocalServer(store, (), {}).start()
    try:
        grants = server.query("SHOW GRANTS FOR grafana", ROOT).rows()
        assert grants == [["telegraf", "READ"], ["logs", "READ"]]
        # A running server obeys the next application at once.
        file.write_text(STATE.replace('logs = "READ"', 'logs = "ALL"'))
        assert headgate(*arguments)[1][0] == "GRANT ALL PRIVILEGES ON logs TO grafana"
        grants = server.query("SHOW GRANTS FOR grafana", ROOT).rows()
        assert grants == [["telegraf", "READ"], ["logs", "ALL PRIVILEGES"]]
        (tmp_path / "grafana.password").write_text("Grafana-2\n")
        assert headgate(*arguments)[1][0] == "SET PASSWORD FOR grafana = [REDACTED]"
        assert server.query("SHOW DATABASES", ("grafana", "Grafana-1")).status == 401
        assert server.query("SHOW DATABASES", ("grafana", "Grafana-2")).status == 200
    finally:
        server.stop()
    out = headgate("audit", "--store", store)[1]
    assert any("GRANT ALL PRIVILEGES ON logs TO grafana" in line for line in out)


def test_pruning_must_be_asked_for_and_keeps_an_administrator(file: Path, tmp_path: Path) -> None:
    store = tmp_path / "users.db"
    headgate("apply", file, "--store", store)
    file.write_text('databases = ["logs"]\nusers = ["root"]\n')
    behind = tmp_path / "gateway.toml"
    behind.write_text('[[gateway.upstream]]\nurls = ["http://127.0.0.1:1"]\n')
    command = ("apply", file, "--store", store, "--config", behind)
    status, lines, errors = headgate(*command, "--prune")
    error = "database telegraf: an upstream store may have its data: use DROP DATABASE"
    assert (status, lines, errors) == (1, [], f"headgate: {error}\n")
    assert headgate("apply", file, "--store", store)[1] == [f"{store}: 0 changes made"]
    drops = ["DROP USER grafana", "DROP DATABASE telegraf", f"{store}: 2 changes made"]
    assert headgate("apply", file, "--store", store, "--prune")[1] == drops
    file.write_text("[users.root]\nadmin = false\n")
    for flag in ("--dry-run", "--prune"):
        status, lines, errors = headgate("apply", file, "--store", store, flag)
        assert (status, lines) == (1, [])
        assert errors in (
            f"headgate: {file}: cannot remove the last admin user\n",
            "headgate: no administrator would remain: declare a user with admin = true\n",
        )
    file.write_text('databases = ["new"]\n[users.root.grants]\nnone = "READ"\n')
    status, _, errors = headgate("apply", file, "--store", store)
    assert (status, errors) == (1, f"headgate: {file}: database not found: none\n")
    with_store = SqliteStore(store, create=False)
    assert [one.name for one in with_store.databases()] == ["logs"]
    with_store.close()


def test_an_export_applies_to_another_store(file: Path, tmp_path: Path) -> None:
    store, other = tmp_path / "users.db", tmp_path / "other.db"
    headgate("apply", file, "--store", store)
    exported = tmp_path / "exported.toml"
    status, lines, _ = headgate("export", "config", store, exported)
    assert (status, lines) == (0, [f"{exported}: 2 users, 2 databases"])
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    assert headgate("apply", exported, "--store", other)[1] == [
        *STATEMENTS,
        f"{other}: 6 changes made",
    ]
    public = tmp_path / "public.toml"
    headgate("export", "config", store, public, "--without-passwords")
    assert "$2b$" not in public.read_text()
    assert headgate("apply", public, "--store", other)[1] == [f"{other}: 0 changes made"]


def test_a_file_is_applied_to_a_running_server(
    file: Path, tmp_path: Path, serve: Callable[..., LocalServer]
) -> None:
    server = serve().bootstrap()
    url = f"http://127.0.0.1:{server.port}"
    arguments = ("apply", file, "--url", url, "--username", "root")
    login = ("--password-file", tmp_path / "root.password")
    changes = [one for one in STATEMENTS if "USER root" not in one]
    status, lines, _ = headgate(*arguments, *login, "--dry-run")
    assert (status, lines) == (2, [*changes, f"{url}: 5 changes would be made"])
    assert headgate(*arguments, *login) == (0, [*changes, f"{url}: 5 changes made"], "")
    assert headgate(*arguments, *login) == (0, [f"{url}: 0 changes made"], "")
    assert server.query("SHOW DATABASES", ("grafana", "Grafana-1")).status == 200
    refused = headgate(*arguments, "--password-file", tmp_path / "grafana.password")
    assert refused == (1, [], f"headgate: {url}: authorization failed\n")
    file.write_text("[users.root]\nadmin = false\n")
    refused = headgate(*arguments, *login)
    assert refused == (1, [], f"headgate: {url}: cannot remove the last admin user\n")
    for wrong in (("--username", "root"), ("--url", url, "--store", "x")):
        status, _, errors = headgate("apply", file, *wrong)
        assert status == 1 and "--url" in errors and errors.count("\n") == 1
    other = f"http://127.0.0.1:{free_port()}"
    status, _, errors = headgate("apply", file, "--url", other)
    assert status == 1 and errors.count("\n") == 1 and other in errors
