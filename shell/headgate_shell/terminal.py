"""The terminal functions that the shell's commands call, and the exceptions that they raise."""

from collections.abc import Callable
from typing import NamedTuple


def _no_flush() -> None:
    """Does nothing: there is no buffer to flush."""


class Terminal(NamedTuple):
    """Functions of the terminal that commands call.

    *prompt_login* prompts for username and password, and *prompt_new_password* for a password; both
    return None if the user cancels. *open_editor* opens an editor for the next statement, with the
    given text. All three functions are None without a terminal to prompt on. *history* returns the
    earlier lines, oldest first. *interactive* is True if the shell is interactive: `auth` then
    tries the new login at once.
    """

    write: Callable[[str], object]
    prompt_login: Callable[[], tuple[str, str] | None] | None = None
    prompt_new_password: Callable[[], str | None] | None = None
    open_editor: Callable[[str], None] | None = None
    history: Callable[[], list[str]] = list
    flush: Callable[[], object] = _no_flush
    interactive: bool = False


class Exit(Exception):
    """Raised by a command that ends the shell, such as `exit`."""


class CommandFailed(Exception):
    """A command of the shell failed. A script ends there; the interactive shell goes on."""


class ConnectCommandFailed(CommandFailed):
    """The command `connect` got no response; `str()` is the text that influx prints."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f'Get "{url}/ping": {cause}')
