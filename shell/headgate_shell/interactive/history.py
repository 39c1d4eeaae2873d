"""Stores the typed lines, for arrow keys and searches, without passwords."""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from headgate_grammar import ParseError, parse, redact
from headgate_shell.commands.dispatch import is_command
from headgate_shell.go_space import split_words

_STATEMENTS = frozenset(
    "alter create delete drop explain grant kill revoke select set show".split()
)


_LOGIN = re.compile(r"\bauth\b|@", re.IGNORECASE)
# A statement that could contain a password, even if it is misspelt.
_ABOUT_USERS = re.compile(r"\b(create|alter|set)\b|\bpassword\b|\bauth\b", re.IGNORECASE)
# Commands whose argument may be a statement.
_BEFORE_STATEMENTS = re.compile(
    r"(\\e|\\?watch(\s+[0-9.]+)?)\s+(?P<rest>.+)", re.IGNORECASE | re.DOTALL
)


class RedactedHistory(FileHistory):
    """A history in the file *path*, which only its owner can read.

    Passwords in statements are replaced by `[REDACTED]`, in memory too. The command `auth` is left
    out. So is a line that is neither a statement nor a command: it may be a password typed at the
    wrong prompt. The file keeps the last *max_entries* entries.
    """

    def __init__(self, path: Path, max_entries: int) -> None:
        handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        if stat.S_ISREG(os.fstat(handle).st_mode):  # *path* may be /dev/null
            os.fchmod(handle, 0o600)
        os.close(handle)
        super().__init__(str(path))
        self._truncate(path, max_entries)

    def _truncate(self, path: Path, length: int) -> None:
        """Removes all but the last *length* entries if *path* holds over 10 % more."""
        with _lock(path):
            entries = list(super().load_history_strings())  # newest first
            if len(entries) <= length + length // 10:
                return
            # Rewritten in place: another shell may have the file open.
            path.write_bytes(b"")
            for entry in reversed(entries[:length]):
                super().store_string(entry)

    def store_string(self, string: str) -> None:
        """Appends *string* to the file; ignores OSError."""
        # If the disk is full, the entry stays in memory until the shell ends.
        with suppress(OSError), _lock(Path(os.fsdecode(self.filename))):
            super().store_string(string)

    def append_string(self, string: str) -> None:
        """Appends what `redacted_entry` returns for *string*, unless it is empty."""
        line = redacted_entry(string)
        if line:
            super().append_string(line)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Returns a context that locks the history file *path*, so that shells write in turn."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def redacted_entry(line: str) -> str:
    """Returns the text that the history stores for *line*, or "" to store nothing.

    Passwords in the text are replaced by `[REDACTED]`. Nothing is stored if *line* may hold a
    password at an unknown place:

    - the command `auth`, and every command with `auth` or `@` in it,
    - a statement about users that does not parse,
    - text that is neither a command nor a statement.
    """
    words = split_words(line, 2)
    first = words[0].rstrip(";").lower() if words else ""
    if first == "auth":
        return ""
    prefixed = _BEFORE_STATEMENTS.match(line)
    if (
        prefixed is not None
        and _ABOUT_USERS.search(prefixed["rest"])
        and not _parses(prefixed["rest"])
    ):
        return ""
    if is_command(line):
        return "" if _LOGIN.search(line) else redact(line)
    if first not in _STATEMENTS or (_ABOUT_USERS.search(line) and not _parses(line)):
        return ""
    return redact(line)


def _parses(line: str) -> bool:
    try:
        parse(line)
    except ParseError:
        return False
    return True


def history_path() -> Path:
    """Returns `$HEADGATE_HISTFILE`, or `.headgate_history` in the home directory."""
    return Path(os.environ.get("HEADGATE_HISTFILE") or Path.home() / ".headgate_history")


def open_history(length: int, write: Callable[[str], object]) -> History:
    """Returns a history that keeps the last *length* entries in the file `history_path()`.

    If *length* is 0, the history is in memory. If the file cannot be used, the history is in memory
    too, and *write* receives a warning.
    """
    if length == 0:
        return _RedactedInMemoryHistory()
    try:
        path = history_path()
    except RuntimeError:
        write("WARN: no history: the home directory is unknown\n")
        return _RedactedInMemoryHistory()
    try:
        return RedactedHistory(path, length)
    except OSError as error:
        write(f"WARN: no history: {path}: {error.strerror}\n")
        return _RedactedInMemoryHistory()


class _RedactedInMemoryHistory(InMemoryHistory):
    """A history in memory, which redacts passwords like RedactedHistory."""

    def append_string(self, string: str) -> None:
        """Appends what `redacted_entry` returns for *string*, unless it is empty."""
        if line := redacted_entry(string):
            super().append_string(line)
