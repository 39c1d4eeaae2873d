"""The budget of refusals in the audit, of two workers."""

import json
from collections.abc import Callable
from pathlib import Path

from headgate_server.background.audit_writer import BUDGET_BYTES
from support.server_process import ServerProcess

LARGEST_RECORD = 2_000  # bytes of JSON, of names and statements of usual letters


def test_the_budget_holds_for_a_server(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    path = tmp_path / "audit-file.log"
    server = serve_process("--workers", "2", HEADGATE_AUDIT_FILE=str(path)).bootstrap(
        "CREATE USER ann WITH PASSWORD 'Ann-pw-1'"
    )
    statements = [f'SHOW MEASUREMENTS ON "{number}{"x" * 60}"' for number in range(1_000)]
    for start in range(0, 1_000):
        answer = server.query(statements[start], ("ann", "Ann-pw-1"))
        assert answer.status == 403
    assert server.stop() == 0
    records = [json.loads(line) for line in path.read_text().splitlines()]
    refused = [record for record in records if not record["revision"]]
    assert sum(record["count"] for record in refused) == 1_000
    # Two workers, each perhaps at the turn of a minute.
    assert path.stat().st_size < 2 * (BUDGET_BYTES + LARGEST_RECORD)
