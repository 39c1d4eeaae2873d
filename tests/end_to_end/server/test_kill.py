"""kill -9 in the middle of changes: what was acknowledged is there, and nothing is half done."""

import os
import random
import threading
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import apsw
import pytest

from support.server_process import ServerProcess
from support.servers import Server

# `make long CHECK=kills` asks for 500, of two workers. Each kill starts workers anew, so the
# default is small.
KILLS = {1: 8, 2: 4}
if asked := os.environ.get("HEADGATE_TEST_KILLS"):
    KILLS = dict.fromkeys(KILLS, int(asked))
WRITERS = 3


class Writer:
    """Sends CREATE USER and GRANT, one after the other, and notes what was acknowledged."""

    def __init__(self, server: Server, number: int) -> None:
        self.server = server
        self.prefix = f"w{number}_"
        self.sent = 0
        self.created: list[str] = []
        self.granted: list[str] = []
        self.pending: set[str] = set()

    def run(self) -> None:
        """Until the server does not answer any more."""
        try:
            while True:
                name = f"{self.prefix}{self.sent}"
                self.sent += 1
                self.pending.add(name)
                self.change(f"CREATE USER {name} WITH PASSWORD 'x'")
                self.created.append(name)
                self.change(f"GRANT READ ON db TO {name}")
                self.granted.append(name)
                self.pending.discard(name)
        except (OSError, HTTPException):
            return

    def change(self, text: str) -> None:
        answer = self.server.query(text)
        assert answer.status == 200 and not answer.error, answer.body


def stored(path: Path) -> tuple[dict[str, int | None], list[tuple[int, str]], str]:
    """Users with their privilege on db, the audit, and what the integrity check says."""
    connection = apsw.Connection(str(path))
    rows: list[Any] = connection.execute(
        "SELECT name, privilege FROM users LEFT JOIN grants ON user_id = users.id"
    ).fetchall()
    audit: list[Any] = connection.execute(
        "SELECT rev, statement FROM audit ORDER BY rev"
    ).fetchall()
    check: str = connection.execute("PRAGMA integrity_check").get
    connection.close()
    return dict(rows), audit, check


@pytest.mark.parametrize("workers", [1, 2])
def test_after_kill_9_every_acknowledged_change_is_there(
    serve_process: Callable[..., ServerProcess], workers: int
) -> None:
    random.seed(7)
    server = serve_process("--workers", str(workers)).bootstrap("CREATE DATABASE db")
    writers = [Writer(server, number) for number in range(WRITERS)]
    kills = KILLS[workers]
    for _ in range(kills):
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        goal = sum(writer.sent for writer in writers) + random.randint(3, 40)
        while sum(writer.sent for writer in writers) < goal:
            threads[0].join(random.uniform(0, 0.002))
        server.kill()
        for thread in threads:
            thread.join()
        check_store(server, writers)
        server.start()
        assert server.query("SHOW GRANTS FOR root").status == 200
    created, granted = (sum(len(getattr(w, of)) for w in writers) for of in ("created", "granted"))
    print(f"{kills} kills of {workers} workers, {created + granted} acknowledged changes, 0 lost")
    assert created > kills


def check_store(server: ServerProcess, writers: list[Writer]) -> None:
    users, audit, integrity = stored(server.store)
    assert integrity == "ok"
    assert [revision for revision, _ in audit] == list(range(1, len(audit) + 1))
    statements = [statement for _, statement in audit]
    assert len(set(statements)) == len(statements)
    for writer in writers:
        mine = {name for name in users if name.startswith(writer.prefix)}
        assert mine >= set(writer.created)
        assert all(users[name] == 1 for name in writer.granted)
        # What was not acknowledged was asked for, at least, and is whole if it is there.
        assert mine <= set(writer.created) | writer.pending
        recorded = set(statements)
        for name in mine:
            assert f"CREATE USER {name} WITH PASSWORD [REDACTED]" in recorded
            assert (f"GRANT READ ON db TO {name}" in recorded) == (users[name] == 1)
