"""Prompts for usernames and passwords, and keeps both out of the history."""

import sys
from collections.abc import Callable
from getpass import getpass

from prompt_toolkit import PromptSession
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.utils import is_dumb_terminal

from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.commands.login import login_error
from headgate_shell.go_space import trim
from headgate_shell.output.control_characters import escape_controls
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed

_MAX_TRIES = 3


def log_in(session: Session, write: Callable[[str], object]) -> None:
    """Tries the session's login; prompts for a missing or wrong password up to three times.

    After Ctrl-C or Ctrl-D the shell keeps the current login, which `auth` can change. Without a
    username there is no prompt. *write* receives the server's errors.
    """
    if session.store_path:
        return
    connection = session.connection
    prompting = bool(connection.username) and not (connection.password or connection.token)
    try:
        for _ in range(_MAX_TRIES):
            if prompting:
                password = _prompt_password(
                    f"password for {escape_controls(connection.username)}: "
                )
                session.connection = connection._replace(password=password)
            login_failure = login_error(session)
            if not login_failure:
                return
            write(f"ERR: {login_failure}\n")
            if not connection.username or connection.token:
                break
            prompting = True
    except (EOFError, KeyboardInterrupt):
        write("Not logged in.\n")
    except ConnectionFailed as error:
        write(f"ERR: cannot reach {error}\n")
        return
    write("`auth` logs in.\n")


def prompt_login() -> tuple[str, str] | None:
    """Prompts for username and password; returns None after Ctrl-C, Ctrl-D or an empty username."""
    try:
        # A prompt session of its own keeps the input out of the history of statements.
        asking: PromptSession[str] = PromptSession(history=DummyHistory())
        username = trim(asking.prompt("username: "))
        return (username, _prompt_password("password: ")) if username else None
    except (EOFError, KeyboardInterrupt):
        return None


def prompt_new_password() -> str | None:
    """Prompts for a new password twice; returns None after Ctrl-C or Ctrl-D.

    Raises CommandFailed if the password is empty or the two differ.
    """
    try:
        password = _prompt_password("new password: ")
        if not password:
            raise CommandFailed("the password is empty: nothing changed")
        if _prompt_password("once more: ") != password:
            raise CommandFailed("the two passwords differ: nothing changed")
    except (EOFError, KeyboardInterrupt):
        return None
    return password


def _prompt_password(question: str) -> str:
    if sys.stdin.isatty() and is_dumb_terminal():
        return getpass(question)
    asking: PromptSession[str] = PromptSession(history=DummyHistory(), is_password=True)
    return asking.prompt(question)
