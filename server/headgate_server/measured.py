"""The store, with a clock beside it."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from headgate_engine import Audit, AuditFile, SqliteStore, Tx, User
from headgate_server.metrics import Metrics

T = TypeVar("T")


class MeasuredStore(SqliteStore):
    """SqliteStore, telling *metrics* how long reading a user and making a change take."""

    def __init__(
        self, path: str | os.PathLike[str], metrics: Metrics, audit_file: AuditFile | None = None
    ) -> None:
        super().__init__(path, audit_file=audit_file)
        self._metrics = metrics

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        with self._metrics.change():
            return super().transact(change, audit)

    def _read_user(self, name: str) -> User | None:
        began = time.perf_counter()
        user = super()._read_user(name)
        self._metrics.read(time.perf_counter() - began)
        return user
