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
from headgate_shell.backends.base import ConnectionFailed, Response
from headgate_shell.commands.dispatch import is_command, run_command
from headgate_shell.go_space import split_words, trim
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.confirmations import confirmation_for
from headgate_shell.interactive.history import open_history, redacted_entry
from headgate_shell.interactive.local_commands import LocalCommands, without_vertical
from headgate_shell.interactive.login_prompts import log_in, prompt_login, prompt_new_password
from headgate_shell.interactive.outcomes import statements_of, success, suggestion, titles
from headgate_shell.interactive.prompt import build_prompt, open_editor, prompt_text
from headgate_shell.interactive.shell_settings import Config, config_path, read_config
from headgate_shell.interactive.unknown_user import with_usernames
from headgate_shell.output.control_characters import escape_controls, escape_controls_in_lines
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Exit, Terminal

# Statements and commands that may change which names the user can see.
_NAME_CHANGING_WORDS = frozenset("create drop grant revoke auth connect".split())


def interact(session: Session, *, confirm: bool = True, keep_format: bool = False) -> int:
    """Reads and runs lines until the user exits; returns the exit status, always 0.

    With *confirm*, a statement that irrevocably drops data or privileges needs a confirmation. With
    *keep_format*, the user's configuration file does not change the session's format.
    """
    config, errors = read_config(config_path())
    sys.stdout.write("".join(f"WARN: {line}\n" for line in errors))
    session.show_timing, session.use_pager = config.timing, config.pager
    if config.format and not keep_format:
        session.format = config.format
    shell = InteractiveShell(session, confirm, config)
    try:
        return shell.interact()
    finally:
        shell.close()


class InteractiveShell:
    """An interactive shell: reads lines at the prompt and runs each of them in *session*.

    *confirm* is as in the function `interact`. *config* holds the user's settings.
    """

    def __init__(self, session: Session, confirm: bool, config: Config) -> None:
        self._session = session
        self._confirm = confirm
        self._config = config
        self._names = CompletionNames(session)
        self._history = open_history(config.history_length, sys.stdout.write)
        self._last_statement = ""
        self._draft: str | None = None
        self._local = LocalCommands(session, self._run_line)
        self._last_seconds: float | None = None
        self._reachable = True
        self._terminal = Terminal(
            sys.stdout.write,
            prompt_login=prompt_login,
            prompt_new_password=prompt_new_password,
            open_editor=self._edit,
            history=lambda: self._history.get_strings()[
                :-1
            ],  # without the command `history` itself
            flush=sys.stdout.flush,
            interactive=True,
        )

    def interact(self) -> int:
        """Runs the loop until the user exits; returns the exit status, always 0."""
        self._print_greeting()
        log_in(self._session, sys.stdout.write)
        lines = build_prompt(
            self._session, self._names, self._history, lambda: self._last_seconds, self._config
        )
        self._names.on_fetched = lines.app.invalidate  # the toolbar shows whether the user is admin
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
                self._run_line(text)
            except Exit:
                return 0
            except KeyboardInterrupt:
                sys.stdout.write("\nERR: aborted\n")  # after the ^C that the terminal shows
            except ConnectionFailed as error:
                self._reachable = False
                sys.stdout.write(f"ERR: cannot reach {error}\n")
            except CommandFailed as error:
                sys.stdout.write(f"ERR: {error}\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Closes the file of results."""
        self._local.close()

    def _read(self, lines: "PromptSession[str]") -> str:
        """Returns the next input; opens an editor first if `\\e` was the last command."""
        draft, self._draft = self._draft, None
        return lines.prompt(
            prompt_text(self._session, self._config.prompt),
            default=draft or "",
            pre_run=open_editor if draft is not None else None,
        )

    def _edit(self, text: str) -> None:
        self._draft = text or self._last_statement

    def _print_greeting(self) -> None:
        version = self._session.server_version or "(unknown)"
        if self._session.store_path:
            sys.stdout.write(f"On {self._session.store_path}, without a server, as administrator\n")
        else:
            sys.stdout.write(f"Connected to {self._session.display_name} version {version}\n")
        sys.stdout.write("Headgate shell: InfluxQL, or `help`\n")

    def _run_line(self, text: str) -> None:
        words = split_words(text, 2)
        if not words:
            return
        began = time.monotonic()
        if self._local.is_command(text):
            sys.stdout.write(escape_controls_in_lines(self._local.run(text)))
            return
        if is_command(text):
            run_command(text, self._session, self._terminal)
        else:
            self._last_statement = redacted_entry(text)
            if not self._run_statement(text):
                return
        self._last_seconds = time.monotonic() - began
        if self._session.show_timing:
            sys.stdout.write(f"Time: {self._last_seconds:.3f} s\n")
        if words[0].lower() in _NAME_CHANGING_WORDS:
            self._names.refresh()

    def _run_statement(self, text: str) -> bool:
        """Sends *text* and prints the response; returns False if the user did not confirm."""
        text, vertical = without_vertical(text)
        question = (
            confirmation_for(text, self._session.connection.username, self._names)
            if self._confirm
            else ""
        )
        if question and not (confirmed := _confirm(question)):
            if confirmed is None and self._local.is_including:
                raise CommandFailed("not done, nor the rest of the file")
            sys.stdout.write("Not done.\n")
            return False
        response = self._session.query(text)
        if not self._reachable:
            self._reachable = True
            sys.stdout.write("Connected again\n")
        self._show(text, with_usernames(text, response), vertical=vertical)
        self._adopt_new_password(text, response)
        return True

    def _show(self, text: str, response: Response, *, vertical: bool) -> None:
        """Shows *response* to the statements *text*, on the terminal or in the file of `\\o`."""
        session = self._session.copy_with(format="vertical") if vertical else self._session
        if self._local.output is not None:
            self._local.write(render(response, session.copy_with(to_terminal=False), hint=False))
            if response.first_error:
                sys.stdout.write(f"ERR: {escape_controls(response.first_error)}\n")
            else:
                sys.stdout.write(success(statements_of(text), response))
            return
        # If the output is a file, a hint would not be read.
        if not session.to_terminal or session.format == "json":
            answer = render(response, session, hint=session.to_terminal)
        else:
            answer = self._for_person(text, response, session)
        _print_paged(answer, paged=session.use_pager)

    @staticmethod
    def _for_person(text: str, response: Response, session: Session) -> str:
        """Returns *response* with titles of several results, a word of success, a suggestion."""
        statements = statements_of(text)
        if not (named := titles(statements, response)):
            answer = render(response, session)
        else:
            parts = (
                f"{escape_controls(title)}\n{render(Response([result]), session)}"
                for title, result in zip(named, response.results, strict=True)
            )
            answer = "\n".join(parts)
        if not response.first_error:
            return answer + success(statements, response)
        if response.first_error.startswith("error parsing query"):
            answer += suggestion(text)
        return answer

    def _adopt_new_password(self, text: str, response: Response) -> None:
        """Uses a new password for later requests if *text* has set it for the session's user."""
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


def _confirm(question: str) -> bool | None:
    """Asks for confirmation; Enter alone means no. Returns None for Ctrl-C and Ctrl-D."""
    asking: PromptSession[str] = PromptSession(history=DummyHistory())
    try:
        return trim(asking.prompt(f"{escape_controls(question)} Do it? (y/N) ")).lower() in (
            "y",
            "yes",
        )
    except (EOFError, KeyboardInterrupt):
        return None


def _print_paged(text: str, *, paged: bool) -> None:
    """Prints *text*, through a pager if it is higher than the screen."""
    higher = text.count("\n") >= shutil.get_terminal_size().lines
    if not (paged and higher and sys.stdout.isatty()) or is_dumb_terminal():
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    try:
        command = shlex.split(os.environ.get("PAGER", "")) or ["less", "-SRXF"]
        # `less -R` passes escape sequences to the terminal.
        content = escape_controls_in_lines(text).encode("utf-8", "replace")
        subprocess.run(command, input=content, check=False)  # noqa: S603 - the user's $PAGER
    except (OSError, ValueError):
        sys.stdout.write(text)  # the pager does not exist, or $PAGER is not a valid command
