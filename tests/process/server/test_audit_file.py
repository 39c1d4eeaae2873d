"""The audit file of one worker and of several."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.server_process import ServerProcess


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_audit_file_has_changes_and_failures(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, workers: str
) -> None:
    path = tmp_path / "audit-file.log"
    server = serve_process("--workers", workers, HEADGATE_AUDIT_FILE=str(path))
    server.bootstrap("CREATE USER todd WITH PASSWORD 's3cret'")
    server.query("SHOW USERS", ("todd", "wrong-1"))
    for number in range(20):
        assert not server.query(f"CREATE DATABASE db{number}").error
    assert server.stop() == 0
    written = lines(path)
    assert [line["id"] for line in written] == list(range(1, 24))
    assert [line["revision"] for line in written if line["revision"]] == list(range(1, 23))
    (failure,) = (line for line in written if not line["revision"])
    assert (failure["actor"], failure["outcome"]) == ("todd", "authorization failed")
    assert "s3cret" not in path.read_text() and "wrong-1" not in path.read_text()
