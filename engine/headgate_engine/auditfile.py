"""The audit as a file for whoever collects logs: JSON, an object a line."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict

from headgate_engine.store import AuditRecord

# Not to wait for a reader, should it be a pipe.
_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK


class AuditFile:
    """Opened anew for each use, so it can be moved away at any time. Made for its owner only."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def append(self, records: Iterable[AuditRecord]) -> None:
        """Appends *records*, all or none, and makes them durable. Raises OSError."""
        text = "".join(f"{json_line(record)}\n" for record in records).encode()
        file = os.open(self.path, _FLAGS, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(self.path))
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
