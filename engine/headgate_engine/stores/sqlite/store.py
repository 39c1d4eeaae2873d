"""The user store in one SQLite file, shared by the worker processes of one machine.

Readers never wait for writers. Writers queue at a lock on the file `<store>.lock`, which the kernel
grants in order (SQLite's own wait is unfair). Connections belong to a process: create a store after
fork.
"""

import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw

from headgate_engine.errors import OutcomeUnknown, StoreError, StoreUnavailable
from headgate_engine.model.audit import Audit, AuditRecord, DeniedAttempt
from headgate_engine.model.database import Database
from headgate_engine.model.user import Account, User
from headgate_engine.stores.audit_file import AuditFile
from headgate_engine.stores.base import Change, KnownLogin, PendingTransaction, Snapshot, Table, Tx
from headgate_engine.stores.condition import StoreSize
from headgate_engine.stores.group_commit import commit_one, group_commit
from headgate_engine.stores.local_store import LocalStore
from headgate_engine.stores.observer import StoreObserver
from headgate_engine.stores.sqlite import reads
from headgate_engine.stores.sqlite.account_store import SqliteAccountReads
from headgate_engine.stores.sqlite.audit import (
    export,
    has_unexported,
    prune_audit,
    read_audit,
    read_newest_audit,
    record_change,
    record_denied,
)
from headgate_engine.stores.sqlite.backup import copy
from headgate_engine.stores.sqlite.connection import close, connect, reason, refusing, unavailable
from headgate_engine.stores.sqlite.file import check_high_water_mark, integrity_errors, mark_in_use
from headgate_engine.stores.sqlite.identity_store import SqliteIdentityReads
from headgate_engine.stores.sqlite.known_logins import read_logins, write_logins
from headgate_engine.stores.sqlite.read_cache import ReadCache
from headgate_engine.stores.sqlite.size import size_of
from headgate_engine.stores.sqlite.transaction import SqliteTx

T = TypeVar("T")

_MAX_CHANGES = 10_000
_READ_ERRORS = (StoreError, OSError, apsw.Error)  # reported as StoreUnavailable
_POLL_SECONDS = 0.01


class SqliteStore(SqliteAccountReads, SqliteIdentityReads, LocalStore):
    """Implements `Store` in the SQLite file *path*, which is created if missing.

    Each audit record is appended to *audit_file*, too, before its change is durable. If appending
    fails, the change raises StoreUnavailable. *observer* is told of reads and changes. `created` is
    True for a new file, `upgraded` the schema version before an upgrade (0: none). Thread-safe.

    Raises:
        StoreError: the file cannot be used, or it is missing and *create* is False or the
            side file `<store>.lock` shows that there was a store.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        audit_file: AuditFile | None = None,
        observer: StoreObserver | None = None,
    ) -> None:
        self._path = Path(path)
        self._observer = observer or StoreObserver()
        self._audit_file = audit_file
        try:
            self._revision_file, self.created, self.upgraded = mark_in_use(
                self._path, create=create
            )
        except OSError as error:
            name = error.filename or self._path
            raise StoreError(f"cannot open store {name}: {error.strerror}") from None
        try:
            self._writer = connect(self._path)
            check_high_water_mark(self._path, self._writer, self._revision_file)
        except BaseException:
            # otherwise the process would keep the store marked as in use
            self._revision_file.close()
            raise
        self._inode = os.stat(self._path).st_ino
        self._write_lock = threading.Lock()
        self._readers = threading.local()
        # Weak, so that the connection of a thread that has ended is closed.
        self._open_readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._closed = False

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        return commit_one(self._run_jobs, change, audit, self._observer)

    def transact_all(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs *jobs* in a group commit, and stores the outcome of each in its job."""
        began = time.perf_counter()
        group_commit(self._run_jobs, jobs)
        for _ in jobs:  # each change waited until all were done
            self._observer.changed(time.perf_counter() - began)

    def is_acknowledged(self) -> bool:
        with refusing("read"):
            epoch, revision = self._reader().execute("SELECT epoch, rev FROM meta").get
            return bool(revision <= self._revision_file.acknowledged_revision(epoch))

    def size(self) -> StoreSize:
        """Returns how large the file is, with its write-ahead log."""
        return size_of(self._path)

    def _run_jobs(self, jobs: Sequence[PendingTransaction]) -> None:
        """Runs *jobs* in one transaction, and stores the result or error of each in its job."""
        with self._transaction() as connection:
            revision: int = connection.execute("SELECT rev FROM meta").get
            for job in jobs:
                job.error = None  # an error of a previous attempt
                tx = SqliteTx(connection)
                connection.execute("SAVEPOINT change")
                try:
                    job.result = job.change(tx)
                    if tx.keys:
                        self._record(revision + 1, tx.keys, job.audit)
                except (apsw.Error, StoreUnavailable, OutcomeUnknown):
                    raise  # an error of the whole group
                except Exception as error:
                    job.error = error
                    connection.execute("ROLLBACK TO change")
                else:
                    revision += bool(tx.keys)
                    job.revision = revision
                connection.execute("RELEASE change")
            connection.execute("UPDATE meta SET rev = ?", (revision,))
            # Not at each change: the deletion costs as much as the change itself.
            if revision % max(1, _MAX_CHANGES // 100) < len(jobs):
                oldest = revision - _MAX_CHANGES
                connection.execute("DELETE FROM changes WHERE rev <= ?", (oldest,))

    def record_denied(self, attempts: Sequence[DeniedAttempt]) -> None:
        with self._transaction() as connection:
            record_denied(connection, attempts)

    def remember_logins(self, logins: Sequence[KnownLogin]) -> None:
        if logins:
            with self._transaction() as connection:
                write_logins(connection, logins)

    def prune_audit(self, before: str) -> None:
        more = True
        while more:
            with self._transaction() as connection:
                more = prune_audit(connection, before)

    def export(self) -> None:
        """Appends to the audit file the records that other programs wrote to the database alone.

        Raises:
            StoreUnavailable: the store or the audit file could not be read or written.
        """
        if self._audit_file is None:
            return
        with refusing("read"):
            behind = has_unexported(self._reader())
        if behind:
            with self._transaction():
                pass  # each transaction appends the missing records before it commits

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Returns a context that commits its writes at the end, or rolls back on an error."""
        with self._write_lock, self._revision_file.exclude_writers():
            connection = self._writer
            self._check_file()
            with refusing("begin"):
                connection.execute("BEGIN IMMEDIATE")
            try:
                epoch, before = self._position()
                if before < self._revision_file.acknowledged_revision(epoch):
                    raise StoreUnavailable("it is behind what was acknowledged: see headgate store")
                with refusing("write"):
                    yield connection
                exported = self._export()
                epoch, revision = self._position()
            except BaseException:
                self._roll_back()
                raise
            self._commit(exported)
            # Also after an earlier writer was killed between its commit and its high-water mark.
            if revision != self._revision_file.acknowledged_revision(epoch):
                self._revision_file.set_high_water_mark(epoch, revision)

    def _position(self) -> tuple[str, int]:
        """Returns the epoch, which identifies the history of the store, and the revision."""
        with refusing("read"):
            position: tuple[str, int] = self._writer.execute("SELECT epoch, rev FROM meta").get
            return position

    def _check_file(self) -> None:
        """Raises StoreUnavailable if the store is closed, or its file was removed or replaced."""
        if self._closed:
            raise StoreUnavailable("it is closed")
        try:
            same = os.stat(self._path).st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreUnavailable("its file was removed or replaced")

    def _record(self, revision: int, keys: list[str], audit: Audit) -> None:
        self._writer.execute("INSERT INTO changes VALUES (?, ?)", (revision, json.dumps(keys)))
        record_change(self._writer, revision, audit)

    def _export(self) -> list[AuditRecord]:
        """Appends the records that the audit file lacks, and returns at most the last 1000."""
        if self._audit_file is None:
            return []
        try:
            return export(self._writer, self._audit_file)
        except OSError as error:
            self._observer.audit_file_failed()
            raise StoreUnavailable(f"the audit file cannot be written: {error.strerror}") from None

    def _commit(self, exported: list[AuditRecord]) -> None:
        try:
            self._writer.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back()
            undone = isinstance(error, apsw.FullError | apsw.BusyError)
            outcome = StoreUnavailable(reason(error)) if undone else OutcomeUnknown(reason(error))
            if self._audit_file is not None:
                with suppress(OSError):  # the caller receives the outcome in any case
                    self._audit_file.append(
                        replace(record, outcome=str(outcome)) for record in exported
                    )
            raise outcome from None

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        with refusing("read"):
            return self._read_cache()

    def user(self, name: str) -> User | None:
        try:
            cache = self._read_cache()
            found = cache.users.get(name)
            if found is None and name in cache.prefetched:
                return cache.prefetched[name]
            if found is None and (found := self._read_user(name)) is not None:
                cache.users.put(name, found)
            return found
        except _READ_ERRORS as error:
            raise unavailable("read", error) from None

    def prefetch_users(self, names: Sequence[str]) -> None:
        with refusing("read"):
            cache = self._read_cache()
            missing = [name for name in names if cache.users.get(name) is None]
            if cache.pinned and missing:
                found = {user.name: user for user in self._read_users(missing)}
                cache.prefetched = {name: found.get(name) for name in missing}

    def _read_users(self, names: Sequence[str]) -> list[User]:
        began = time.perf_counter()
        found = reads.read_users(self._readers.connection, names)
        each = (time.perf_counter() - began) / len(names)
        for _ in names:
            self._observer.read(each)
        return found

    def _read_user(self, name: str) -> User | None:
        began = time.perf_counter()
        found = reads.read_user(self._readers.connection, name)
        self._observer.read(time.perf_counter() - began)
        return found

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        with refusing("read"):
            query = "SELECT id, name, admin FROM users WHERE id > ? ORDER BY id LIMIT ?"
            rows = self._reader().execute(query, (int(after or 0), limit))
            return [Account(str(id), name, bool(admin)) for id, name, admin in rows]

    def users_with_grants(
        self, after: str = "", limit: int = 1000, *, database: str = ""
    ) -> Sequence[User]:
        with refusing("read"):
            return reads.read_user_page(self._reader(), after, limit, database)

    def empty(self) -> bool:
        with refusing("read"):
            return self._read_cache().derive("empty", reads.has_no_users)

    def is_small(self, table: Table, limit: int) -> bool:
        with refusing("read"):
            return reads.is_small(self._reader(), table, limit)

    def admin_count(self) -> int:
        with refusing("read"):
            return reads.count_admins(self._reader())

    def database(self, name: str) -> Database | None:
        with refusing("read"):
            cache = self._read_cache()
            found = cache.databases.get(name)
            if found is None and (found := reads.read_database(cache.connection, name)) is not None:
                cache.databases.put(name, found)
            return found

    def databases(self) -> Sequence[Database]:
        with refusing("read"):
            return self._read_cache().all_databases()

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        with refusing("read"):
            return read_audit(self._reader(), since, limit)

    def newest_audit(self, before: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        with refusing("read"):
            return read_newest_audit(self._reader(), before, limit)

    def known_logins(self, limit: int) -> Sequence[KnownLogin]:
        with refusing("read"):
            return read_logins(self._reader(), limit)

    def changes(self, since: int) -> Sequence[Change] | None:
        with refusing("read"):
            return reads.read_changes(self._reader(), since)

    def wait(self, since: int, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (revision := self.confirmed_revision()) <= since and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return revision

    def confirmed_revision(self) -> int:
        with refusing("read"):
            revision: int = self._reader().execute("SELECT rev FROM meta").get
            return revision

    def check(self) -> list[str]:
        """Returns the integrity errors of the file, one sentence each. Reads the whole file."""
        return integrity_errors(self._reader())

    def backup(self, to: str | os.PathLike[str]) -> None:
        """Copies a snapshot of the store to the new file *to*.

        Raises:
            StoreError: the file exists already or cannot be written.
        """
        copy(self._reader(), Path(to))

    def _read_cache(self) -> ReadCache:
        """Returns this thread's read cache, up to date unless this thread holds a snapshot."""
        cache: ReadCache | None = getattr(self._readers, "seen", None)
        if cache is not None and cache.pinned:
            return cache
        if cache is None:
            cache = self._readers.seen = ReadCache(self._reader(), self._mark, self._check_file)
        cache.refresh()
        return cache

    def _mark(self) -> bytes:
        """Returns bytes that differ after each change by any process, and each own upkeep."""
        return self._revision_file.high_water_mark() + self._upkeep_mark

    def _reader(self) -> apsw.Connection:
        """Returns this thread's read-only connection."""
        # An open connection can read a deleted file, whose privileges no REVOKE could reach.
        self._check_file()
        connection: apsw.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = connect(self._path, read_only=True)
            with self._write_lock:
                if self._closed:
                    close(connection)
                    raise StoreUnavailable("it is closed")
                self._open_readers.add(connection)
            self._readers.connection = connection
        return connection

    def close(self) -> None:
        """Closes the store, and interrupts the reads that other threads run."""
        with self._write_lock:
            if self._closed:
                return
            self._closed = True
            for connection in (*self._open_readers, self._writer):
                close(connection)
            self._revision_file.close()
