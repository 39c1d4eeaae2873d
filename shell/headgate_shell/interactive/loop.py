"""The loop of the interactive shell: reads a line, runs it, prints the response."""

import os
import shlex
import shutil
import subprocess
import sys
import time

from prompt_toolkit import PromptSession
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.utils import is_dumb_terminal

from headgate_grammar import ParseError, SetPassword, parse
from headgate_shell.backends.base import CannotReach, Response
from headgate_shell.commands.dispatch import is_command, run_command
from headgate_shell.go_space import fields, trim
from headgate_shell.interactive.completion_names import Names
from headgate_shell.interactive.config import Config, config_path, read_config
from headgate_shell.interactive.confirmations import loss
from headgate_shell.interactive.history import history_of, kept
from headgate_shell.interactive.login import ask_login, ask_new_password, log_in
from headgate_shell.interactive.prompt import lines_prompt, open_editor, prompt_text
from headgate_shell.interactive.unknown_user import with_user_names
from headgate_shell.output.control_characters import visible, visible_lines
from headgate_shell.output.render import shown
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Leave, Terminal

# Statements and commands that may change which names the user can see.
_NEWS = frozenset("create drop grant revoke auth connect".split())


def interact(session: Session, *, asks: bool = True, keeps_format: bool = False) -> int:
    """Reads and runs lines until the user exits; returns the exit status, always 0.

    With *asks*, a statement that loses something for good needs a confirmation. With
    *keeps_format*, the user's configuration file does not change the session's format.
    """
    config, wrong = read_config(config_path())
    sys.stdout.write("".join(f"WARN: {line}\n" for line in wrong))
    session.timing, session.pager = config.timing, config.pager
    if config.format and not keeps_format:
        session.format = config.format
    return _Person(session, asks, config).interact()


class _Person:
    """The state of an interactive shell."""

    def __init__(self, session: Session, asks: bool, config: Config) -> None:
        self._session = session
        self._asks = asks
        self._config = config
        self._names = Names(session)
        self._history = history_of(config.history_length, sys.stdout.write)
        self._last = ""
        self._draft: str | None = None
        self._seconds: float | None = None
        self._reachable = True
        self._terminal = Terminal(
            sys.stdout.write,
            login=ask_login,
            new_password=ask_new_password,
            edit=self._edit,
            history=lambda: self._history.get_strings()[
                :-1
            ],  # without the command `history` itself
            flush=sys.stdout.flush,
            checks=True,
        )

    def interact(self) -> int:
        """Runs the loop until the user exits; returns the exit status, always 0."""
        self._greet()
        log_in(self._session, sys.stdout.write)
        lines = lines_prompt(
            self._session, self._names, self._history, lambda: self._seconds, self._config
        )
        self._names.arrived = lines.app.invalidate  # the toolbar shows whether the user is admin
        self._names.refresh()
        while True:
            try:
                text = self._read(lines)
            except KeyboardInterrupt:
                sys.stdout.write("^C\n")
                continue
            except EOFError:
                return 0
            try:
                self._take(text)
            except Leave:
                return 0
            except KeyboardInterrupt:
                sys.stdout.write("\nERR: aborted\n")  # after the ^C that the terminal shows
            except CannotReach as error:
                self._reachable = False
                sys.stdout.write(f"ERR: cannot reach {error}\n")
            except CommandFailed as error:
                sys.stdout.write(f"ERR: {error}\n")
            sys.stdout.flush()

    def _read(self, lines: "PromptSession[str]") -> str:
        """Returns the next line; opens an editor first if `\\e` was the last command."""
        draft, self._draft = self._draft, None
        return lines.prompt(
            prompt_text(self._session, self._config.prompt),
            default=draft or "",
            pre_run=open_editor if draft is not None else None,
        )

    def _edit(self, text: str) -> None:
        self._draft = text or self._last

    def _greet(self) -> None:
        version = self._session.server_version or "(unknown)"
        if self._session.store:
            sys.stdout.write(f"On {self._session.store}, without a server, as administrator\n")
        else:
            sys.stdout.write(f"Connected to {self._session.where} version {version}\n")
        sys.stdout.write("Headgate shell: InfluxQL, or `help`\n")

    def _take(self, text: str) -> None:
        words = fields(text, 2)
        if not words:
            return
        began = time.monotonic()
        if is_command(text):
            run_command(text, self._session, self._terminal)
        else:
            self._last = kept(text)
            if not self._run(text):
                return
        self._seconds = time.monotonic() - began
        if self._session.timing:
            sys.stdout.write(f"Time: {self._seconds:.3f} s\n")
        if words[0].lower() in _NEWS:
            self._names.refresh()

    def _run(self, text: str) -> bool:
        """Sends *text* and prints the response; returns False if the user did not confirm."""
        lost = loss(text, self._session.connection.username, self._names) if self._asks else ""
        if lost and not _confirmed(lost):
            sys.stdout.write("Not done.\n")
            return False
        response = self._session.query(text)
        if not self._reachable:
            self._reachable = True
            sys.stdout.write("Connected again\n")
        named = with_user_names(text, response)
        # If the output is a file, a hint would not be read.
        answer = shown(named, self._session, hint=self._session.on_terminal)
        _show(answer, paged=self._session.pager)
        self._follow_own_password(text, response)
        return True

    def _follow_own_password(self, text: str, response: Response) -> None:
        """Uses the new password for later requests after the user has changed their own."""
        if response.first_error or "password" not in text.lower():
            return
        try:
            statements = parse(text)
        except ParseError:
            return  # the server accepted a statement that this shell's grammar lacks
        connection = self._session.connection
        for statement in statements:
            if isinstance(statement, SetPassword) and statement.name == connection.username:
                self._session.connection = connection._replace(password=statement.password)


def _confirmed(lost: str) -> bool:
    """Asks for confirmation; Enter alone, Ctrl-C and Ctrl-D mean no."""
    asking: PromptSession[str] = PromptSession(history=DummyHistory())
    try:
        return trim(asking.prompt(f"{visible(lost)} Do it? (y/N) ")).lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def _show(text: str, *, paged: bool) -> None:
    """Prints *text*, through a pager if it is higher than the screen."""
    higher = text.count("\n") >= shutil.get_terminal_size().lines
    if not (paged and higher and sys.stdout.isatty()) or is_dumb_terminal():
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    try:
        command = shlex.split(os.environ.get("PAGER", "")) or ["less", "-SRXF"]
        # `less -R` passes escape sequences to the terminal.
        content = visible_lines(text).encode("utf-8", "replace")
        subprocess.run(command, input=content, check=False)
    except (OSError, ValueError):
        sys.stdout.write(text)  # the pager does not exist, or $PAGER is not a valid command
