"""The user store (SQLite), with metrics of how long its reads and changes take."""

import os
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from headgate_engine import Audit, AuditFile, PendingTransaction, SqliteStore, Tx, User
from headgate_server.telemetry.metrics import Metrics

T = TypeVar("T")


class MeasuredStore(SqliteStore):
    """A SqliteStore that records in *metrics* the time of each read of a user and each change."""

    def __init__(
        self, path: str | os.PathLike[str], metrics: Metrics, audit_file: AuditFile | None = None
    ) -> None:
        super().__init__(path, audit_file=audit_file)
        self._metrics = metrics

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        """Makes *change*, and records its duration. Returns what `SqliteStore.transact` returns."""
        began = time.perf_counter()
        try:
            return super().transact(change, audit)
        finally:
            self._metrics.observe_change(time.perf_counter() - began)

    def transact_all(self, jobs: Sequence[PendingTransaction]) -> None:
        """Makes the changes of *jobs* together. Records the common duration for each change."""
        began = time.perf_counter()
        super().transact_all(jobs)
        for _ in jobs:  # each change waited until all were done
            self._metrics.observe_change(time.perf_counter() - began)

    def _read_users(self, names: Sequence[str]) -> list[User]:
        began = time.perf_counter()
        users = super()._read_users(names)
        each = (time.perf_counter() - began) / len(names)
        for _ in names:
            self._metrics.observe_read(each)
        return users

    def _read_user(self, name: str) -> User | None:
        began = time.perf_counter()
        user = super()._read_user(name)
        self._metrics.observe_read(time.perf_counter() - began)
        return user
