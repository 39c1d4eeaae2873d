"""Reads a password for a command from a file, from standard input, or from the terminal."""

import getpass
import sys

from headgate_server import ConfigurationError
from headgate_server.config.first_users import read_password_file
from headgate_shell.output.control_characters import escape_controls


def read_known_password() -> str:
    """Returns the password that the user has: from the terminal, or a line of standard input.

    Raises ValueError if there is none.
    """
    password = _asked("password: ")
    if not password:
        raise ValueError("no password was given")
    return password


def read_password(file: str | None) -> str:
    """Returns the password in the first line of *file*; `-` is standard input, None the terminal.

    On a terminal, asks twice. Raises ValueError if there is no password, or the two differ.
    """
    if file is not None and file != "-":
        try:
            return read_password_file(file, "--password-file")
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
    password = _line() if file == "-" else _asked("new password: ")
    if file != "-" and sys.stdin.isatty() and _asked("once more: ") != password:
        raise ValueError("the two passwords differ: nothing was changed")
    if not password:
        raise ValueError("no password was given: nothing was changed")
    return password


def read_current_password(user: str) -> str:
    """Returns the password of *user* from the terminal, or from the first line of standard input.

    It may be empty.
    """
    return _asked(f"password of {escape_controls(user)}: ")


def _line() -> str:
    """Returns the next line of standard input."""
    return sys.stdin.readline().rstrip("\r\n")


def _asked(prompt: str) -> str:
    """Returns what the user types on a terminal without showing it, else a line of standard input.

    Raises ValueError at the end of the terminal's input (Ctrl-D).
    """
    if not sys.stdin.isatty():
        return _line()
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise ValueError("no password was given") from None
