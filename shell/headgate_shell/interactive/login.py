"""Names and passwords asked of a person, and kept nowhere."""

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
    """Asks for the password if only the name is known, and again if the server refuses it.

    Whoever gives up goes on as he is: `auth` and `connect` are there. Without a name nothing is
    asked for, and only said what the server wants.
    """
    if session.store:
        return
    asked = bool(session.username) and not (session.password or session.token)
    try:
        for _ in range(_TRIES):
            if asked:
                session.password = _secretly(f"password for {visible(session.username)}: ")
            wrong = wrong_login(session)
            if not wrong:
                return
            write(f"ERR: {wrong}\n")
            if not session.username or session.token:
                break
            asked = True
    except (EOFError, KeyboardInterrupt):
        write("Not logged in.\n")
    except CannotReach as error:
        write(f"ERR: cannot reach {error}\n")
        return
    write("`auth` logs in.\n")


def ask_login() -> tuple[str, str] | None:
    """Username and password from the person; None if he gives up with Ctrl-C or Ctrl-D."""
    try:
        # Sessions of their own: what is typed here must not reach the history of statements.
        asking: PromptSession[str] = PromptSession(history=DummyHistory())
        username = trim(asking.prompt("username: "))
        return (username, _secretly("password: ")) if username else None
    except (EOFError, KeyboardInterrupt):
        return None


def ask_new_password() -> str | None:
    """A new password, typed twice; None if the person gives up with Ctrl-C or Ctrl-D.

    Raises CommandFailed if it is empty, or the two differ.
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
