"""Prompts for usernames and passwords. Stores neither in the history."""

import sys
from collections.abc import Callable
from getpass import getpass

from prompt_toolkit import PromptSession
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.utils import is_dumb_terminal

from headgate_shell.backends.base import CannotReach
from headgate_shell.commands.login import wrong_login
from headgate_shell.go_space import trim
from headgate_shell.output.control_characters import visible
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed

_TRIES = 3


def log_in(session: Session, write: Callable[[str], object]) -> None:
    """Tries the session's login; prompts for a missing or wrong password, at most three times.

    After Ctrl-C or Ctrl-D the shell continues with the login as it is: `auth` and `connect` can
    change it. Without a username nothing is prompted for, and only the server's error is written.
    """
    if session.store:
        return
    connection = session.connection
    asked = bool(connection.username) and not (connection.password or connection.token)
    try:
        for _ in range(_TRIES):
            if asked:
                password = _secretly(f"password for {visible(connection.username)}: ")
                session.connection = connection._replace(password=password)
            wrong = wrong_login(session)
            if not wrong:
                return
            write(f"ERR: {wrong}\n")
            if not connection.username or connection.token:
                break
            asked = True
    except (EOFError, KeyboardInterrupt):
        write("Not logged in.\n")
    except CannotReach as error:
        write(f"ERR: cannot reach {error}\n")
        return
    write("`auth` logs in.\n")


def ask_login() -> tuple[str, str] | None:
    """Prompts for username and password; returns None after Ctrl-C, Ctrl-D or an empty username."""
    try:
        # A prompt session of its own keeps the input out of the history of statements.
        asking: PromptSession[str] = PromptSession(history=DummyHistory())
        username = trim(asking.prompt("username: "))
        return (username, _secretly("password: ")) if username else None
    except (EOFError, KeyboardInterrupt):
        return None


def ask_new_password() -> str | None:
    """Prompts for a new password twice; returns None after Ctrl-C or Ctrl-D.

    Raises CommandFailed if the password is empty or the two differ.
    """
    try:
        password = _secretly("new password: ")
        if not password:
            raise CommandFailed("the password is empty: nothing changed")
        if _secretly("once more: ") != password:
            raise CommandFailed("the two passwords differ: nothing changed")
    except (EOFError, KeyboardInterrupt):
        return None
    return password


def _secretly(question: str) -> str:
    if sys.stdin.isatty() and is_dumb_terminal():
        return getpass(question)
    asking: PromptSession[str] = PromptSession(history=DummyHistory(), is_password=True)
    return asking.prompt(question)
