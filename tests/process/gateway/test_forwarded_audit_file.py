"""Forwarded changes in the audit file, of several workers."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate_engine import FORWARDED
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.raw_upstream import raw_upstream
from support.scripted_upstream import (
    Script,
    fetch,
)
from support.server_process import ServerProcess
from support.servers import Server

TEXT, OTHER = "SELECT v INTO a..copy FROM a..m", "DROP MEASUREMENT m"


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, script: Script) -> Iterator[Server]:
    with raw_upstream(script) as store:
        table = upstream("influxdb1", urls=[store.url])
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        script.asked.clear()
        yield server
        server.stop()


def test_the_audit_file_has_forwarded_changes(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, script: Script
) -> None:
    path = tmp_path / "audit-file.log"
    with raw_upstream(script) as store:
        server = serve_process(
            "--upstream", store.url, "--workers", "2", HEADGATE_AUDIT_FILE=str(path)
        ).bootstrap(TWO)
        threads = [
            threading.Thread(target=fetch, args=(server, TEXT, ANN), kwargs={"db": "a"})
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        written = [json.loads(line) for line in path.read_text().splitlines()]
        forwarded = [line for line in written if line["outcome"] == FORWARDED]
        assert [(line["actor"], line["statement"]) for line in forwarded] == [("ann", TEXT)] * 8
