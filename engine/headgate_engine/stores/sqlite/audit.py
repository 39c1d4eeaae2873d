"""Writes, reads and prunes the audit log in a SQLite store, and exports it to a file."""

from collections.abc import Sequence
from datetime import UTC, datetime

import apsw

from headgate_engine.model.audit import FORWARDED, Audit, AuditRecord, DeniedAttempt
from headgate_engine.stores.audit_file import AuditFile

_COLUMNS = "id, rev, time, actor, address, statement, outcome, count"
_PAGE_RECORDS = 1000
# The audit keeps at most this many denied attempts, and as many changes made by upstream stores.
_MAX_DENIED_RECORDS = 100_000
# The maximum number of records deleted in one transaction, which blocks other writers.
_MAX_DELETED_RECORDS = 5000


def now() -> str:
    """Returns the current time in UTC as RFC 3339 text; such texts sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def record_change(connection: apsw.Connection, revision: int, audit: Audit) -> None:
    """Appends *audit* to the audit log, as the record of the change that made *revision*."""
    connection.execute(
        "INSERT INTO audit (rev, time, actor, address, statement, outcome)"
        " VALUES (?, ?, ?, ?, ?, 'ok')",
        (revision, now(), audit.actor, audit.address, audit.statement),
    )


def record_denied(connection: apsw.Connection, attempts: Sequence[DeniedAttempt]) -> None:
    """Appends the audit records of denied attempts."""
    connection.executemany(
        "INSERT INTO audit (rev, time, actor, address, statement, outcome, count)"
        " VALUES (0, ?, ?, ?, ?, ?, ?)",
        [(r.time, r.actor, r.address, r.statement, r.outcome, r.count) for r in attempts],
    )


def read_audit(connection: apsw.Connection, since: int, limit: int) -> list[AuditRecord]:
    """Returns at most *limit* records with an id greater than *since*, in order."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE id > ? ORDER BY id LIMIT ?", (since, limit)
    )
    return [AuditRecord(*row) for row in rows]


def read_newest_audit(connection: apsw.Connection, before: int, limit: int) -> list[AuditRecord]:
    """Returns at most *limit* records, the newest first; with *before*, those with a smaller id."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
        (before or 1 << 62, limit),
    )
    return [AuditRecord(*row) for row in rows]


def export(connection: apsw.Connection, file: AuditFile) -> list[AuditRecord]:
    """Appends the audit records not yet exported to *file*, and stores the id of the last one.

    Returns the last records that were appended, at most 1000. If *file* cannot be written, raises
    OSError and stores no id.
    """
    exported: int = connection.execute("SELECT exported FROM meta").get
    last: list[AuditRecord] = []
    while page := read_audit(connection, exported, _PAGE_RECORDS):
        file.append(page)
        last, exported = page, page[-1].id
    if last:
        connection.execute("UPDATE meta SET exported = ?", (exported,))
    return last


def has_unexported(connection: apsw.Connection) -> bool:
    """Returns whether any audit record has not been exported to an audit file."""
    behind = "SELECT exported < ifnull((SELECT max(id) FROM audit), 0) FROM meta"
    return bool(connection.execute(behind).get)


def prune_audit(connection: apsw.Connection, before: str) -> bool:
    """Deletes records older than *before*, and returns whether another call may find more.

    Also deletes the oldest denied attempts beyond 100,000, and the oldest changes made by upstream
    stores beyond 100,000. The newest record stays, so that no id is used twice. One call deletes at
    most 15,000 records.
    """
    newest: int = connection.execute("SELECT ifnull(max(id), 0) FROM audit").get
    # Searches the oldest ids only: later records are not older, unless the clock was set back.
    connection.execute(
        "DELETE FROM audit WHERE time < ? AND id < ?"
        " AND id IN (SELECT id FROM audit ORDER BY id LIMIT ?)",
        (before, newest, _MAX_DELETED_RECORDS),
    )
    dropped = [connection.changes()]
    for comparison in ("<>", "="):
        kind = f"rev = 0 AND outcome {comparison} ?"
        too_many = connection.execute(
            f"SELECT id FROM audit WHERE {kind} ORDER BY id DESC LIMIT 1 OFFSET ?",
            (FORWARDED, _MAX_DENIED_RECORDS),
        ).get
        connection.execute(
            "DELETE FROM audit WHERE id <= ? AND id < ?"
            f" AND id IN (SELECT id FROM audit WHERE {kind} ORDER BY id LIMIT ?)",
            (too_many or 0, newest, FORWARDED, _MAX_DELETED_RECORDS),
        )
        dropped.append(connection.changes())
    return max(dropped) == _MAX_DELETED_RECORDS
