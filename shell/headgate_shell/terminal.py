"""What the shell's commands need of whoever sits in front of it, and how they fail."""

from collections.abc import Callable
from typing import NamedTuple


def _nothing() -> None:
    """Nobody waits for it."""


class Terminal(NamedTuple):
    """What commands need of the person: to write, and to ask for a login.

    *login* gives name and password, or None if he gave up; it is None itself where nobody can be
    asked, like *new_password*, and *edit*, which has the next statement written in an editor that
    shows a text. *history* gives what was typed before. *checks* is whether a login
    is tried at once.
    """

    write: Callable[[str], object]
    login: Callable[[], tuple[str, str] | None] | None = None
    new_password: Callable[[], str | None] | None = None
    edit: Callable[[str], None] | None = None
    history: Callable[[], list[str]] = list
    flush: Callable[[], object] = _nothing
    checks: bool = False


class Leave(Exception):
    """The person wants to leave the shell."""


class CommandFailed(Exception):
    """A command that cannot be done, in a way that ends a script."""


class ConnectFailed(CommandFailed):
    """`connect` found nobody there; the text is what influx prints."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f'Get "{url}/ping": {cause}')
