"""Ansible's modules for InfluxDB change the same on Headgate as on a real influxd."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.ansible_modules import Task, needs_ansible, run_modules
from support.influxd import Influxd, needs_influxd
from support.local_server import LocalServer
from support.servers import ROOT, Server

pytestmark = [needs_ansible, needs_influxd]

ODD = 'o\'dd "né" \\ x'
ODD_PASSWORD = 'p\'w "é" \\ x'
USERS = [f"user{number}" for number in range(30)]


def task(module: str, port: int, **arguments: Any) -> Task:
    login = {"hostname": "127.0.0.1", "port": port, "username": ROOT[0], "password": ROOT[1]}
    return f"influxdb_{module}", login | arguments


def user(port: int, name: str, password: str | None = None, **options: Any) -> Task:
    return task("user", port, user_name=name, user_password=password, **options)


def policy(port: int, name: str, duration: str, **options: Any) -> Task:
    place = {"database_name": "telegraf", "policy_name": name, "replication": 1}
    return task("retention_policy", port, duration=duration, **place, **options)


def play(port: int) -> list[Task]:
    """Returns a play that declares users, databases and retention policies."""
    grants = [
        {"database": "telegraf", "privilege": "READ"},
        {"database": ODD, "privilege": "WRITE"},
    ]
    return [
        user(port, *ROOT, admin=True),  # the first administrator
        task("database", port, database_name="telegraf"),
        task("database", port, database_name="other"),
        user(port, "grafana", "Grafana-1", grants=grants[:1]),
        user(port, "silent"),
        user(port, "admin2", "Admin-2", admin=True),
        user(port, ODD, ODD_PASSWORD, grants=[{"database": "other", "privilege": "ALL"}]),
        policy(port, "week", "7d"),
        policy(port, "year", "52w", default=True, shard_group_duration="7d"),
        policy(port, "for ever", "INF"),
        task("query", port, database_name="telegraf", query="SHOW RETENTION POLICIES"),
    ]


def changes(port: int) -> list[Task]:
    """Returns a play that changes and drops a part of what `play` declares."""
    return [
        user(port, "grafana", "Grafana-2", grants=[{"database": "other", "privilege": "READ"}]),
        user(port, "admin2", "Admin-2", admin=False),
        user(port, ODD, ODD_PASSWORD, grants=[]),
        user(port, "silent", state="absent"),
        user(port, "gone", state="absent"),
        policy(port, "week", "14d", shard_group_duration="1d"),
        policy(port, "year", "52w", state="absent"),
        task("database", port, database_name="other", state="absent"),
    ]


def rotation(port: int, number: int) -> list[Task]:
    return [user(port, name, f"{name}-{number}") for name in USERS]


def outcomes(server: Server, tasks: Callable[..., list[Task]], *arguments: int) -> list[Any]:
    """Returns for each task of the play whether it changed something, or why it failed."""
    return [
        result.get("changed") if not result.get("failed") else result["msg"]
        for result in run_modules(tasks(server.port, *arguments))
    ]


@pytest.fixture
def headgate(serve: Callable[..., LocalServer]) -> LocalServer:
    return serve()


def test_each_play_changes_what_it_changes_on_influxd(
    headgate: LocalServer, tmp_path: Path
) -> None:
    folder = tmp_path / "influxdb"
    folder.mkdir()
    with Influxd(folder) as influxd:
        for repeated in (play, changes):
            first = outcomes(influxd, repeated)
            assert outcomes(headgate, repeated) == first
            assert any(first) and all(isinstance(one, bool) for one in first), first
            again = outcomes(influxd, repeated)
            assert outcomes(headgate, repeated) == again
            # A query is always a change, and influxdb-python quotes one odd name wrongly.
            assert sum(map(bool, again)) <= 2, again
        for statement in (
            "SHOW USERS",
            "SHOW DATABASES",
            "SHOW GRANTS FOR grafana",
            "SHOW RETENTION POLICIES ON telegraf",
        ):
            assert headgate.query(statement, ROOT).rows() == influxd.query(statement, ROOT).rows()
    for login in (("grafana", "Grafana-2"), (ODD, ODD_PASSWORD)):
        assert headgate.query("SHOW DATABASES", login).status == 200


def test_thirty_passwords_are_rotated(headgate: LocalServer) -> None:
    headgate.bootstrap()
    assert outcomes(headgate, rotation, 1) == [True] * 30
    assert outcomes(headgate, rotation, 2) == [True] * 30
    assert outcomes(headgate, rotation, 2) == [False] * 30
    for name in USERS:
        assert headgate.query("SHOW DATABASES", (name, f"{name}-2")).status == 200
        assert headgate.query("SHOW DATABASES", (name, f"{name}-1")).status == 401


def test_the_last_administrator_is_protected(headgate: LocalServer) -> None:
    headgate.bootstrap()
    port = headgate.port
    demote, drop = run_modules(
        [user(port, *ROOT, admin=False), user(port, ROOT[0], state="absent")]
    )
    for result in (demote, drop):
        assert result["failed"] and "cannot remove the last admin user" in result["msg"]
    assert headgate.query("SHOW USERS", ROOT).rows() == [["root", True]]
