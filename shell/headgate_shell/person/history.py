"""What was typed before, for arrow keys and searches. It never holds a password."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory

from headgate_grammar import redact
from headgate_shell.commands import is_command

_STATEMENTS = frozenset(
    "alter create delete drop explain grant kill revoke select set show".split()
)


class RedactedHistory(FileHistory):
    """A history in the file *path*, which only its owner can read.

    Passwords in statements are replaced by `[REDACTED]`, in memory too; `auth` is left out; what
    is neither statement nor command (a password typed at the wrong prompt?) is not written.
    """

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        if stat.S_ISREG(os.fstat(handle).st_mode):  # not /dev/null, for instance
            os.fchmod(handle, 0o600)
        os.close(handle)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        line = kept(string)
        if line:
            super().append_string(line)

    def load_history_strings(self) -> Iterable[str]:
        return super().load_history_strings()


def kept(line: str) -> str:
    """What the history keeps of *line*, "" for nothing."""
    words = line.split(maxsplit=1)
    first = words[0].rstrip(";").lower() if words else ""
    if first == "auth" or not (first in _STATEMENTS or is_command(line)):
        return ""
    return redact(line)


def history_path() -> Path:
    """`$HEADGATE_HISTFILE`, or `.headgate_history` in the home folder."""
    return Path(os.environ.get("HEADGATE_HISTFILE") or Path.home() / ".headgate_history")
