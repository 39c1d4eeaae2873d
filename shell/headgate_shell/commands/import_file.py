"""Implements the flag `-import`, for files that `influx_inspect export` wrote.

Such a file holds statements, then data in line protocol.
"""

import gzip
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

from headgate_shell.backends.base import ConnectionFailed, Points
from headgate_shell.commands.insert import NO_WRITES
from headgate_shell.go_space import trim
from headgate_shell.session import Session

_BATCH_LINES = 5000
_DATABASE_MARKER, _POLICY_MARKER = "# CONTEXT-DATABASE:", "# CONTEXT-RETENTION-POLICY:"


def import_file(path: str, session: Session, *, compressed: bool, points_per_second: int) -> int:
    """Imports the file *path*, which is gzipped if *compressed*; returns the exit status.

    At most *points_per_second* points are written per second; 0 means no limit. The line `# DML`
    separates statements from data. The status is 1 if the file cannot be read or the server
    rejected data. A failed statement only prints an error, as in influx.
    """
    if not path:
        print("ERROR: file argument required", file=sys.stderr)
        return 1
    if session.connection.current_session is not None:
        print(f"ERROR: {NO_WRITES}", file=sys.stderr)
        return 1
    try:
        with _open_lines(path, compressed=compressed) as lines:
            return _Importer(session, points_per_second).run(lines)
    except OSError as error:
        print(f"ERROR: open {path}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
    except (EOFError, zlib.error):
        print(f"ERROR: {path}: truncated or damaged", file=sys.stderr)
    except ConnectionFailed as error:
        print(f"ERROR: cannot reach {error}", file=sys.stderr)
    return 1


@contextmanager
def _open_lines(path: str, *, compressed: bool) -> Iterator[TextIO]:
    opened = gzip.open if compressed else open
    with opened(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        assert not isinstance(lines, gzip.GzipFile)
        yield lines


class _Importer:
    """The state of one import: the points not yet written, and the counts of the summary."""

    def __init__(self, session: Session, points_per_second: int) -> None:
        self._session = session
        self._points_per_second = points_per_second
        self._database = session.database
        self._policy = session.retention_policy
        self._batch: list[str] = []
        self._commands = self._written = self._failed = 0
        self._started_at = time.monotonic()

    def run(self, lines: Iterator[str]) -> int:
        """Imports *lines* and prints the counts; returns the exit status."""
        try:
            for line in lines:
                if line.startswith("# DML"):
                    break
                if trim(line) and not line.startswith("#"):
                    self._execute(trim(line))
            for line in lines:
                self._add_line(line)
            self._write()
        finally:  # also after an error of the file or the server
            self._print_summary()
        if self._failed:
            subject = "point was" if self._failed == 1 else "points were"
            print(f"ERROR: {self._failed} {subject} not inserted", file=sys.stderr)
        return 1 if self._failed else 0

    def _execute(self, statement: str) -> None:
        self._commands += 1
        if error := self._session.query(statement).first_error:
            _log(f"error: {error}", sys.stderr)

    def _add_line(self, line: str) -> None:
        if line.startswith(_DATABASE_MARKER):
            self._write()  # the batch belongs to the previous database
            self._database = trim(line.removeprefix(_DATABASE_MARKER))
        elif line.startswith(_POLICY_MARKER):
            self._write()
            self._policy = trim(line.removeprefix(_POLICY_MARKER))
        elif trim(line) and not line.startswith("#"):
            self._batch.append(line.rstrip("\n"))
            if len(self._batch) >= self._batch_lines():
                self._write()

    def _batch_lines(self) -> int:
        return (
            min(_BATCH_LINES, self._points_per_second) if self._points_per_second else _BATCH_LINES
        )

    def _write(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        self._wait_for_rate_limit()
        lines = "\n".join(batch) + "\n"
        try:
            error = self._session.write(Points(lines, self._database, self._policy))
        except ConnectionFailed:
            self._failed += len(batch)
            raise
        if error:
            self._failed += len(batch)
            _log(f"error writing batch: {trim(error)}", sys.stderr)
            sys.stderr.write(lines)
        else:
            self._written += len(batch)

    def _wait_for_rate_limit(self) -> None:
        """Sleeps until the rate limit allows the next batch."""
        if self._points_per_second:
            due = self._started_at + (self._written + self._failed) / self._points_per_second
            time.sleep(max(0.0, due - time.monotonic()))

    def _print_summary(self) -> None:
        """Prints the counts on standard output; like influx, only if points were written."""
        if not self._written:
            return
        for text in (
            f"Processed {self._commands} commands",
            f"Processed {self._written} inserts",
            f"Failed {self._failed} inserts",
        ):
            _log(text, sys.stdout)
        sys.stdout.flush()  # before the errors on standard error


def _log(text: str, stream: TextIO) -> None:
    print(f"{datetime.now():%Y/%m/%d %H:%M:%S} {text}", file=stream)
