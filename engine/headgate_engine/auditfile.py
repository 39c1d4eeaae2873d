"""The audit as a file for whoever collects logs: JSON, an object a line."""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict

from headgate_engine.store import AuditRecord


class AuditFile:
    """Opened anew for each use, so it can be moved away at any time. Made for its owner only."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def append(self, records: Iterable[AuditRecord]) -> None:
        """Appends *records*, all or none, and makes them durable. Raises OSError."""
        text = "".join(f"{json_line(record)}\n" for record in records).encode()
        file = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            try:
                _write(file, text)
                os.fsync(file)
            except OSError:
                # Half a line would spoil the next one.
                with suppress(OSError):
                    os.ftruncate(file, size)
                raise
        finally:
            os.close(file)


def json_line(record: AuditRecord) -> str:
    """*record* as a JSON object with its fields' names."""
    return json.dumps(asdict(record))


def _write(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
