"""Forwarded changes in the audit file, of several workers."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

from headgate_engine import FORWARDED
from support.gateway_fixtures import ANN, TWO
from support.raw_upstream import raw_upstream
from support.scripted_upstream import (
    Script,
    fetch,
)
from support.server_process import ServerProcess

TEXT = "SELECT v INTO a..copy FROM a..m"


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
