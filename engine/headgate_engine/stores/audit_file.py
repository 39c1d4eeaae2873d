"""Writes the audit log (changes and denied attempts) to a file that log collectors read.

Each line of the file is a JSON object.
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict

from headgate_engine.model.audit import AuditRecord

# O_NONBLOCK: a pipe without a reader must not block. O_NOFOLLOW: `_open_link_target` checks a
# symbolic link first.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class AuditFile:
    """An audit file, opened anew for each use, so that it can be rotated at any time.

    A missing file is created, with access for its owner only. *path* is the file's path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def append(self, records: Iterable[AuditRecord]) -> None:
        """Appends *records*, and returns when they are on the disk.

        If writing fails, tries to remove the part that was written.

        Raises:
            OSError: the file cannot be written, or is not a regular file.
        """
        text = "".join(f"{json_line(record)}\n" for record in records).encode()
        file = _open(self.path, os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            try:
                _write(file, text)
                os.fsync(file)
            except OSError:
                # A partial line would corrupt the next line.
                with suppress(OSError):
                    os.ftruncate(file, size)
                raise
        finally:
            os.close(file)

    def check(self) -> None:
        """Checks that `append` could write to the audit file. Creates nothing.

        Raises:
            OSError: `append` would fail.
        """
        try:
            os.close(_open(self.path))
        except FileNotFoundError:
            if os.path.islink(self.path):
                raise
            folder = os.path.dirname(os.path.abspath(self.path))
            if not os.path.isdir(folder):
                raise
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder) from None


def _open(path: str | os.PathLike[str], create: int = 0) -> int:
    """Opens the regular file *path* for appending, and returns its descriptor. Raises OSError.

    A missing file is created if *create* is O_CREAT, and is an error if *create* is 0.
    """
    try:
        file = os.open(path, _FLAGS | create, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        file = _open_link_target(path)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def _open_link_target(path: str | os.PathLike[str]) -> int:
    """Returns a descriptor of the existing file behind the symbolic link *path*.

    Raises OSError if the link belongs to another user than root or this process's user. Such a link
    could choose which file is created or written. The link itself is opened, so that it cannot be
    replaced between the check of its owner and its use.
    """
    link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(link).st_uid not in (0, os.geteuid()):
            raise OSError(errno.ELOOP, "it is a symbolic link of another user", str(path))
        target = os.readlink(b"", dir_fd=link)
    finally:
        os.close(link)
    target = os.path.join(os.path.dirname(os.fsencode(path)), target)
    try:
        return os.open(target, _FLAGS)
    except FileNotFoundError:
        reason = "it is a symbolic link to a file that does not exist"
        raise FileNotFoundError(errno.ENOENT, reason, str(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "it is a symbolic link to a symbolic link"
            raise OSError(errno.ELOOP, reason, str(path)) from None
        raise


def json_line(record: AuditRecord) -> str:
    """Returns *record* as a JSON object, keyed by field names."""
    return json.dumps(asdict(record))


def _write(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
