"""`-import`: imports an export of influx_inspect, statements first, then line protocol."""

import gzip
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

from headgate_shell.backends.base import CannotReach, Points
from headgate_shell.go_space import trim
from headgate_shell.session import Session

_BATCH = 5000
_DATABASE, _POLICY = "# CONTEXT-DATABASE:", "# CONTEXT-RETENTION-POLICY:"


def import_file(path: str, session: Session, *, compressed: bool, pace: int) -> int:
    """Imports the file *path*, at most *pace* points per second (0: no limit); returns the status.

    The line `# DML` separates statements from data. The status is 1 if the file cannot be read or
    the server rejected data. A failed statement is only reported, as by influx.
    """
    if not path:
        print("ERROR: file argument required", file=sys.stderr)
        return 1
    try:
        with _opened(path, compressed=compressed) as lines:
            return _Import(session, pace).run(lines)
    except OSError as error:
        print(f"ERROR: open {path}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
    except (EOFError, zlib.error):
        print(f"ERROR: {path}: truncated or damaged", file=sys.stderr)
    except CannotReach as error:
        print(f"ERROR: cannot reach {error}", file=sys.stderr)
    return 1


@contextmanager
def _opened(path: str, *, compressed: bool) -> Iterator[TextIO]:
    opened = gzip.open if compressed else open
    with opened(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        assert not isinstance(lines, gzip.GzipFile)
        yield lines


class _Import:
    """The state of one import: the batch that is not yet written, and the counts."""

    def __init__(self, session: Session, pace: int) -> None:
        self._session = session
        self._pace = pace
        self._database = session.database
        self._policy = session.retention_policy
        self._batch: list[str] = []
        self._commands = self._written = self._failed = 0
        self._began = time.monotonic()

    def run(self, lines: Iterator[str]) -> int:
        """Imports *lines* and prints the counts; returns the exit status."""
        try:
            for line in lines:
                if line.startswith("# DML"):
                    break
                if trim(line) and not line.startswith("#"):
                    self._execute(trim(line))
            for line in lines:
                self._take(line)
            self._write()
        finally:  # also after an error of the file or the server
            self._sum_up()
        if self._failed:
            were = "point was" if self._failed == 1 else "points were"
            print(f"ERROR: {self._failed} {were} not inserted", file=sys.stderr)
        return 1 if self._failed else 0

    def _execute(self, statement: str) -> None:
        self._commands += 1
        if error := self._session.query(statement).first_error:
            _say(f"error: {error}", sys.stderr)

    def _take(self, line: str) -> None:
        if line.startswith(_DATABASE):
            self._write()  # the batch belongs to the previous database
            self._database = trim(line.removeprefix(_DATABASE))
        elif line.startswith(_POLICY):
            self._write()
            self._policy = trim(line.removeprefix(_POLICY))
        elif trim(line) and not line.startswith("#"):
            self._batch.append(line.rstrip("\n"))
            if len(self._batch) >= self._most():
                self._write()

    def _most(self) -> int:
        return min(_BATCH, self._pace) if self._pace else _BATCH

    def _write(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        self._wait()
        lines = "\n".join(batch) + "\n"
        try:
            error = self._session.write(Points(lines, self._database, self._policy))
        except CannotReach:
            self._failed += len(batch)
            raise
        if error:
            self._failed += len(batch)
            _say(f"error writing batch: {trim(error)}", sys.stderr)
            sys.stderr.write(lines)
        else:
            self._written += len(batch)

    def _wait(self) -> None:
        """Sleeps until the rate limit allows the next batch."""
        if self._pace:
            due = self._began + (self._written + self._failed) / self._pace
            time.sleep(max(0.0, due - time.monotonic()))

    def _sum_up(self) -> None:
        """Prints the counts on standard output; like influx, only if points were written."""
        if not self._written:
            return
        for text in (
            f"Processed {self._commands} commands",
            f"Processed {self._written} inserts",
            f"Failed {self._failed} inserts",
        ):
            _say(text, sys.stdout)
        sys.stdout.flush()  # before the errors on standard error


def _say(text: str, stream: TextIO) -> None:
    print(f"{datetime.now():%Y/%m/%d %H:%M:%S} {text}", file=stream)
