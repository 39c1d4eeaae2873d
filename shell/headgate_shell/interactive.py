"""The shell with a person in front of it. Knows prompt_toolkit."""

import sys
from collections.abc import Callable
from getpass import getpass

from prompt_toolkit import PromptSession
from prompt_toolkit.history import DummyHistory, History, InMemoryHistory

from headgate_grammar import ParseError, SetPassword, parse
from headgate_shell.client import CannotReach, Response, query
from headgate_shell.commands import CommandFailed, Leave, Terminal, is_command, run_command
from headgate_shell.history import RedactedHistory, history_path, kept
from headgate_shell.session import Session
from headgate_shell.show import shown

_PROMPT = "> "


def interact(session: Session) -> int:
    """Reads and runs lines until the person leaves; the exit status, 0."""
    write = sys.stdout.write
    version = session.server_version or "(it does not say)"
    write(f"Connected to {session.where} version {version}\n")
    write("Headgate shell: InfluxQL, or `help`\n")
    lines: PromptSession[str] = PromptSession(history=_history(write))
    terminal = Terminal(write, login=_ask_login, checks=True)
    while True:
        try:
            line = lines.prompt(_PROMPT)
        except KeyboardInterrupt:
            write("^C\n")
            continue
        except EOFError:
            return 0
        try:
            _run(line, session, terminal)
        except Leave:
            return 0
        except KeyboardInterrupt:
            write("ERR: aborted\n")
        except (CannotReach, CommandFailed) as error:
            write(f"ERR: {_reason(error)}\n")
        sys.stdout.flush()


def _run(line: str, session: Session, terminal: Terminal) -> None:
    if not line.strip():
        return
    if is_command(line):
        run_command(line, session, terminal)
        return
    response = query(session, line)
    terminal.write(shown(response, session, hint="database" in response.first_error))
    _follow_own_password(line, response, session)


def _follow_own_password(line: str, response: Response, session: Session) -> None:
    """Goes on with the new password after one's own was set."""
    if response.first_error or "password" not in line.lower():
        return
    try:
        statements = parse(line)
    except ParseError:
        return  # a statement that this shell does not know, and the server did
    for statement in statements:
        if isinstance(statement, SetPassword) and statement.name == session.username:
            session.password = statement.password


def _reason(error: Exception) -> str:
    return f"cannot reach {error}" if isinstance(error, CannotReach) else str(error)


def _history(write: Callable[[str], object]) -> History:
    path = history_path()
    try:
        return RedactedHistory(path)
    except OSError as error:
        write(f"WARN: no history: {path}: {error.strerror}\n")
        return _InMemory()


class _InMemory(InMemoryHistory):
    """A history for this session alone, as careful as the one in a file."""

    def append_string(self, string: str) -> None:
        if line := kept(string):
            super().append_string(line)


def _ask_login() -> tuple[str, str] | None:
    """Username and password from the person; None if he gives up with Ctrl-C or Ctrl-D."""
    try:
        # Sessions of their own: what is typed here must not reach the history of statements.
        asking: PromptSession[str] = PromptSession(history=DummyHistory())
        username = asking.prompt("username: ").strip()
        if not username:
            return None
        if sys.stdin.isatty() and _dumb():
            return username, getpass("password: ")
        secretly: PromptSession[str] = PromptSession(history=DummyHistory(), is_password=True)
        return username, secretly.prompt("password: ")
    except (EOFError, KeyboardInterrupt):
        return None


def _dumb() -> bool:
    from prompt_toolkit.utils import is_dumb_terminal

    return is_dumb_terminal()
