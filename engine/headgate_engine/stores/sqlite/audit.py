"""The audit in a SQLite store: written, read, copied into a file, forgotten."""

from collections.abc import Sequence
from datetime import UTC, datetime

import apsw

from headgate_engine.stores.audit_file import AuditFile
from headgate_engine.stores.base import FORWARDED, Audit, AuditRecord, Refused

_COLUMNS = "id, rev, time, actor, address, statement, outcome, count"
_PAGE = 1000
# Of refusals, and of changes that upstreams made.
_KEPT = 100_000
# In one transaction: others wait for it.
_AT_ONCE = 5000


def now() -> str:
    """The time as audit records have it: RFC 3339, UTC, so that texts compare as times do."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def record_change(connection: apsw.Connection, revision: int, audit: Audit) -> None:
    connection.execute(
        "INSERT INTO audit (rev, time, actor, address, statement, outcome)"
        " VALUES (?, ?, ?, ?, ?, 'ok')",
        (revision, now(), audit.actor, audit.address, audit.statement),
    )


def record_refused(connection: apsw.Connection, refused: Sequence[Refused]) -> None:
    connection.executemany(
        "INSERT INTO audit (rev, time, actor, address, statement, outcome, count)"
        " VALUES (0, ?, ?, ?, ?, ?, ?)",
        [(r.time, r.actor, r.address, r.statement, r.outcome, r.count) for r in refused],
    )


def read_audit(connection: apsw.Connection, since: int, limit: int) -> list[AuditRecord]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE id > ? ORDER BY id LIMIT ?", (since, limit)
    )
    return [AuditRecord(*row) for row in rows]


def export(connection: apsw.Connection, file: AuditFile) -> list[AuditRecord]:
    """Appends to *file* what it lacks, and notes how far that is. Gives the last of it.

    Raises OSError; then nothing is noted.
    """
    exported: int = connection.execute("SELECT exported FROM meta").get
    last: list[AuditRecord] = []
    while page := read_audit(connection, exported, _PAGE):
        file.append(page)
        last, exported = page, page[-1].id
    if last:
        connection.execute("UPDATE meta SET exported = ?", (exported,))
    return last


def unexported(connection: apsw.Connection) -> bool:
    """Whether a file lacks anything."""
    behind = "SELECT exported < ifnull((SELECT max(id) FROM audit), 0) FROM meta"
    return bool(connection.execute(behind).get)


def forget(connection: apsw.Connection, before: str) -> bool:
    """Drops the oldest records: those from *before* a time, refusals beyond 100,000, and changes
    that an upstream made beyond as many.

    The newest stays, so that no id is used twice. At most some thousand at once: whether there may
    be more.
    """
    newest: int = connection.execute("SELECT ifnull(max(id), 0) FROM audit").get
    # Among the oldest only: what is behind them is no older, unless the clock was set back.
    connection.execute(
        "DELETE FROM audit WHERE time < ? AND id < ?"
        " AND id IN (SELECT id FROM audit ORDER BY id LIMIT ?)",
        (before, newest, _AT_ONCE),
    )
    dropped = [connection.changes()]
    for comparison in ("<>", "="):
        kind = f"rev = 0 AND outcome {comparison} ?"
        too_many = connection.execute(
            f"SELECT id FROM audit WHERE {kind} ORDER BY id DESC LIMIT 1 OFFSET ?",
            (FORWARDED, _KEPT),
        ).get
        connection.execute(
            "DELETE FROM audit WHERE id <= ? AND id < ?"
            f" AND id IN (SELECT id FROM audit WHERE {kind} ORDER BY id LIMIT ?)",
            (too_many or 0, newest, FORWARDED, _AT_ONCE),
        )
        dropped.append(connection.changes())
    return max(dropped) == _AT_ONCE
