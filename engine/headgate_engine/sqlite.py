"""The embedded store: one SQLite file, shared by the worker processes of one machine.

Readers never wait for writers. Writers queue at a lock on a side file, which the kernel hands out
fairly (SQLite's own waiting is not fair). Connections belong to a process: make a store after
fork.
"""

import fcntl
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw

from headgate_engine.database import Database
from headgate_engine.errors import EngineError, StoreError, Unavailable, Unknown
from headgate_engine.sqlite_tx import SqliteTx, read_database, read_databases, read_user
from headgate_engine.store import Audit, AuditRecord, Change, Tx
from headgate_engine.storefile import connect, copy, faults, lock_path, prepare
from headgate_engine.user import Account, User

T = TypeVar("T")

_KEPT_CHANGES = 10_000
_POLL_SECONDS = 0.01


class SqliteStore:
    """Keeps the promises of Store in the file *path*, which is created if there never was one.

    Raises StoreError if the file cannot be used, or is missing and not to be *create*d. `created`
    says whether it is new.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self._path = Path(path)
        try:
            self.created = prepare(self._path, create=create)
            self._lock_file = os.open(lock_path(self._path), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            name = error.filename or self._path
            raise StoreError(f"cannot open store {name}: {error.strerror}") from None
        self._writer = connect(self._path)
        self._inode = os.stat(self._path).st_ino
        self._writing = threading.Lock()
        self._readers = threading.local()
        # Weak, so that the connection of a thread that has ended is closed.
        self._open_readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._closed = False

    # ---- writing

    def transact(self, change: Callable[[Tx], T], audit: Audit) -> tuple[T, int]:
        with self._writing, self._file_locked():
            connection = self._writer
            self._check_file()
            with _refused("begin"):
                connection.execute("BEGIN IMMEDIATE")
            try:
                with _refused("write"):
                    tx = SqliteTx(connection)
                    result = change(tx)
                    if tx.keys:
                        revision = self._record(tx.keys, audit)
                    else:
                        revision = connection.execute("SELECT rev FROM meta").get
            except BaseException:
                self._roll_back()
                raise
            self._commit()
            return result, revision

    def _check_file(self) -> None:
        """Raises Unavailable if the file was removed or replaced: what is written would be lost."""
        try:
            same = os.stat(self._path).st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise Unavailable("its file was removed or replaced")

    def _record(self, keys: list[str], audit: Audit) -> int:
        execute = self._writer.execute
        revision: int = execute("UPDATE meta SET rev = rev + 1 RETURNING rev").get
        execute("INSERT INTO changes VALUES (?, ?)", (revision, json.dumps(keys)))
        execute("DELETE FROM changes WHERE rev <= ?", (revision - _KEPT_CHANGES,))
        execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, 'ok')",
            (
                revision,
                datetime.now(UTC).isoformat(timespec="microseconds"),
                *(audit.actor, audit.address, audit.statement),
            ),
        )
        return revision

    def _commit(self) -> None:
        try:
            self._writer.execute("COMMIT")
        except (apsw.FullError, apsw.BusyError) as error:
            self._roll_back()
            raise Unavailable(_reason(error)) from None
        except apsw.Error as error:
            self._roll_back()
            raise Unknown(_reason(error)) from None

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    @contextmanager
    def _file_locked(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    # ---- reading

    def user(self, name: str) -> User | None:
        with _refused("read"):
            return read_user(self._reader(), name)

    def users(self, after: str = "", limit: int = 1000) -> Sequence[Account]:
        with _refused("read"):
            rows = self._reader().execute(
                "SELECT id, name, admin FROM users WHERE id > ? ORDER BY id LIMIT ?",
                (int(after or 0), limit),
            )
            return [Account(str(id), name, bool(admin)) for id, name, admin in rows]

    def empty(self) -> bool:
        with _refused("read"):
            return not self._reader().execute("SELECT EXISTS (SELECT 1 FROM users)").get

    def database(self, name: str) -> Database | None:
        with _refused("read"):
            return read_database(self._reader(), name)

    def databases(self) -> Sequence[Database]:
        with _refused("read"):
            return read_databases(self._reader())

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRecord]:
        with _refused("read"):
            rows = self._reader().execute(
                "SELECT rev, time, actor, address, statement, outcome FROM audit"
                " WHERE rev > ? ORDER BY rev LIMIT ?",
                (since, limit),
            )
            return [AuditRecord(*row) for row in rows]

    def changes(self, since: int) -> Sequence[Change] | None:
        with _refused("read"):
            rows: list[Any] = (
                self._reader()
                .execute("SELECT rev, keys FROM changes WHERE rev > ? ORDER BY rev", (since,))
                .fetchall()
            )
            newest = rows[-1][0] if rows else since
            if newest - since != len(rows):
                return None
            return [Change(revision, tuple(json.loads(keys))) for revision, keys in rows]

    def wait(self, since: int, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (revision := self.fence()) <= since and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return revision

    def fence(self) -> int:
        self._check_file()
        with _refused("read"):
            revision: int = self._reader().execute("SELECT rev FROM meta").get
            return revision

    # ---- looking after the file

    def check(self) -> list[str]:
        """What is wrong in the file, a sentence each; reads all of it."""
        return faults(self._reader())

    def backup(self, to: str | os.PathLike[str]) -> None:
        """Copies the store as it is at one moment to the new file *to*. Raises StoreError."""
        copy(self._reader(), Path(to))

    def _reader(self) -> apsw.Connection:
        """This thread's connection for reading."""
        connection: apsw.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            self._check_file()
            connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
            self._readers.connection = connection
            with self._writing:
                self._open_readers.add(connection)
        return connection

    def close(self) -> None:
        with self._writing:
            if self._closed:
                return
            self._closed = True
            for connection in (*self._open_readers, self._writer):
                connection.close()
            os.close(self._lock_file)


@contextmanager
def _refused(step: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise Unavailable(f"cannot {step}: its file cannot be opened") from None
    except EngineError:
        raise
    except apsw.Error as error:
        raise Unavailable(f"cannot {step}: {_reason(error)}") from None


def _reason(error: apsw.Error) -> str:
    # Not str(error) alone: it may name files and tables, which are no business of a client's.
    return type(error).__name__.removesuffix("Error").lower()
