"""Commands of the interactive shell alone: files, the connection, the syntax of statements."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import TextIO

from headgate_grammar import statement_syntax
from headgate_shell.commands.dispatch import COMMANDS
from headgate_shell.go_space import arguments, split_words, trim
from headgate_shell.interactive.key_bindings import is_complete
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed

LOCAL_COMMANDS = ("\\i", "\\o", "\\conninfo", "\\h")
_MAX_FILES_WITHIN = 10
# A statement that goes on for longer is sent: a quote may be missing.
_MAX_CHARACTERS = 10_000
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class LocalCommands:
    """Runs these commands. *run_line* runs a line as if it were typed."""

    def __init__(self, session: Session, run_line: Callable[[str], None]) -> None:
        self._session, self._run_line = session, run_line
        self._depth = 0
        self.output: TextIO | None = None
        works = (self._include, self._redirect, self._connection, self._syntax)
        self._commands: dict[str, Callable[[str], str]] = dict(
            zip(LOCAL_COMMANDS, works, strict=True)
        )

    def is_command(self, line: str) -> bool:
        """Returns whether *line* is one of these commands, or an unknown one."""
        word = _first_word(line)
        return word in self._commands or (word.startswith("\\") and word not in COMMANDS)

    def run(self, line: str) -> str:
        """Runs *line*, and returns what it prints. Raises CommandFailed, also if it is unknown."""
        word = _first_word(line)
        if word not in self._commands:
            near = get_close_matches(word, [*self._commands, *_backslash_commands()], 1)
            hint = f", did you mean {near[0]}?" if near else ": see `help`"
            raise CommandFailed(f"unknown command {word}{hint}")
        return self._commands[word](arguments(line))

    @property
    def is_including(self) -> bool:
        """Whether a file is being run."""
        return self._depth > 0

    def _include(self, path: str) -> str:
        if not path:
            raise CommandFailed("\\i: expected the name of a file")
        if self._depth >= _MAX_FILES_WITHIN:
            raise CommandFailed(f"\\i {path}: more than {_MAX_FILES_WITHIN} files, one in another")
        try:
            with open(os.path.expanduser(path), encoding="utf-8-sig", newline="\n") as file:
                lines = [line for line in file.read().split("\n") if trim(line)]
        except UnicodeError:
            raise CommandFailed(f"\\i {path}: it is not UTF-8") from None
        except (OSError, ValueError) as error:
            raise CommandFailed(f"\\i {path}: {_reason(error)}") from None
        self._depth += 1
        try:
            for statement in _whole_statements(lines):
                self._run_line(statement)
        finally:
            self._depth -= 1
        return ""

    def _redirect(self, path: str) -> str:
        file: TextIO | None = None
        if path:
            try:
                # Results may be secret: only their owner may read a new file.
                descriptor = os.open(os.path.expanduser(path), _APPEND, 0o600)
                file = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
            except (OSError, ValueError) as error:
                raise CommandFailed(f"\\o {path}: {_reason(error)}") from None
        self.close()
        self.output = file
        return f"Results go to {path} until `\\o`\n" if path else "Results go to the terminal\n"

    def write(self, text: str) -> None:
        """Writes *text* to the file of results. Raises CommandFailed, and closes the file then."""
        assert self.output is not None
        try:
            self.output.write(text)
            self.output.flush()
        except OSError as error:
            self.close()
            raise CommandFailed(f"\\o: {_reason(error)}; results go to the terminal") from None

    def close(self) -> None:
        """Closes the file of results, if there is one."""
        file, self.output = self.output, None
        if file is not None:
            with suppress(OSError):  # `write` has reported it
                file.close()

    def _connection(self, rest: str) -> str:
        session, connection = self._session, self._session.connection
        if session.store_path:
            return f"On {session.store_path}, without a server, as administrator\n"
        if connection.current_session is not None:
            login = f"as {connection.current_session.user}, by the session of headgate login"
        elif connection.token:
            login = "by a token"
        elif connection.username:
            login = f"as {connection.username}, by password"
        else:
            login = "not logged in"
        version = session.server_version or "(unknown)"
        database = f"; database {session.database}" if session.database else ""
        return f"Connected to {connection.url} version {version}, {login}{database}\n"

    def _syntax(self, words: str) -> str:
        lines = statement_syntax(words.removesuffix(";"))
        if not lines:
            raise CommandFailed(f"\\h {words}: no statement begins so: `\\h` lists all")
        note = "IDENT is a name, STRING a text in single quotes.\n"
        return "".join(f"{line}\n" for line in lines) + note


def without_vertical(text: str) -> tuple[str, bool]:
    """Returns *text* without `\\G` at its end, and whether it was there."""
    stripped = trim(text).removesuffix(";")
    if stripped.endswith("\\G"):
        return trim(stripped.removesuffix("\\G")), True
    return text, False


def _first_word(line: str) -> str:
    words = split_words(line, 2)
    return words[0].rstrip(";") if words else ""


def _backslash_commands() -> list[str]:
    return [name for name in COMMANDS if name.startswith("\\")]


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or "it is no path"


def _whole_statements(lines: Iterable[str]) -> Iterator[str]:
    """Yields the statements and commands in *lines*: several lines while one goes on."""
    waiting = ""
    for line in lines:
        if not waiting and line.lstrip().startswith(("#", "--")):
            continue
        waiting = f"{waiting}\n{line}" if waiting else line
        if len(waiting) > _MAX_CHARACTERS or is_complete(waiting):
            yield waiting
            waiting = ""
    if waiting:
        yield waiting
