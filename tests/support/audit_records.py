"""Reads the audit from the user store (SQLite file) of a server."""

from headgate_engine import AuditRecord, SqliteStore
from support.servers import Server


def audit_records(server: Server) -> list[AuditRecord]:
    """Returns all audit records in the user store of *server*."""
    store = SqliteStore(server.store, create=False)
    try:
        return list(store.audit(limit=100_000))
    finally:
        store.close()
