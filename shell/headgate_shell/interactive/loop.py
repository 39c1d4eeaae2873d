"""The loop: reads what a person types, runs it, shows what comes back."""

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

# After these the server may have other names, or others may be seen.
_NEWS = frozenset("create drop grant revoke auth connect".split())


def interact(session: Session, *, asks: bool = True, keeps_format: bool = False) -> int:
    """Reads and runs what is typed until the person leaves; the exit status, 0.

    With *asks*, something that is lost for good is asked about before. With *keeps_format*, the
    session's format is what was asked for, and the person's own settings do not change it.
    """
    config, wrong = read_config(config_path())
    sys.stdout.write("".join(f"WARN: {line}\n" for line in wrong))
    session.timing, session.pager = config.timing, config.pager
    if config.format and not keeps_format:
        session.format = config.format
    return _Person(session, asks, config).interact()


class _Person:
    """Who sits there, and what he did."""

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
            history=lambda: self._history.get_strings()[:-1],  # without the command itself
            flush=sys.stdout.flush,
            checks=True,
        )

    def interact(self) -> int:
        self._greet()
        log_in(self._session, sys.stdout.write)
        lines = lines_prompt(
            self._session, self._names, self._history, lambda: self._seconds, self._config
        )
        self._names.arrived = lines.app.invalidate  # the line at the bottom shows who is admin
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
                sys.stdout.write("\nERR: aborted\n")  # behind the ^C
            except CannotReach as error:
                self._reachable = False
                sys.stdout.write(f"ERR: cannot reach {error}\n")
            except CommandFailed as error:
                sys.stdout.write(f"ERR: {error}\n")
            sys.stdout.flush()

    def _read(self, lines: "PromptSession[str]") -> str:
        """What is typed next; from an editor, if that was asked for."""
        draft, self._draft = self._draft, None
        return lines.prompt(
            prompt_text(self._session, self._config.prompt),
            default=draft or "",
            pre_run=open_editor if draft is not None else None,
        )

    def _edit(self, text: str) -> None:
        self._draft = text or self._last

    def _greet(self) -> None:
        version = self._session.server_version or "(it does not say)"
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
        """Whether it was sent: the person may think again."""
        lost = loss(text, self._session.username, self._names) if self._asks else ""
        if lost and not _confirmed(lost):
            sys.stdout.write("Not done.\n")
            return False
        response = self._session.query(text)
        if not self._reachable:
            self._reachable = True
            sys.stdout.write("Connected again\n")
        named = with_user_names(text, response)
        # With the output in a file there is no person to read a hint.
        answer = shown(named, self._session, hint=self._session.on_terminal)
        _show(answer, paged=self._session.pager)
        self._follow_own_password(text, response)
        return True

    def _follow_own_password(self, text: str, response: Response) -> None:
        """Goes on with the new password after one's own was set."""
        if response.first_error or "password" not in text.lower():
            return
        try:
            statements = parse(text)
        except ParseError:
            return  # a statement that this shell does not know, and the server did
        for statement in statements:
            if isinstance(statement, SetPassword) and statement.name == self._session.username:
                self._session.password = statement.password


def _confirmed(lost: str) -> bool:
    """Whether the person wants it all the same; Enter alone, Ctrl-C and Ctrl-D are no."""
    asking: PromptSession[str] = PromptSession(history=DummyHistory())
    try:
        return trim(asking.prompt(f"{visible(lost)} Do it? (y/N) ")).lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def _show(text: str, *, paged: bool) -> None:
    """On the screen, or in a pager if it is higher than that."""
    higher = text.count("\n") >= shutil.get_terminal_size().lines
    if not (paged and higher and sys.stdout.isatty()) or is_dumb_terminal():
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    try:
        command = shlex.split(os.environ.get("PAGER", "")) or ["less", "-SRXF"]
        # `less -R` hands escape sequences on.
        content = visible_lines(text).encode("utf-8", "replace")
        subprocess.run(command, input=content, check=False)
    except (OSError, ValueError):
        sys.stdout.write(text)  # there is no such program, or that is no command
