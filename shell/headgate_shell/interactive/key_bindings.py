"""Whether what was typed is to be run when Enter is pressed, or goes on in the next line."""

from headgate_grammar import accepts, pieces
from headgate_shell.commands.dispatch import is_command
from headgate_shell.go_space import trim


def complete(text: str) -> bool:
    """Whether *text* is a command, whole statements, ends in `;`, or is wrong in any case.

    An empty line behind it ends it, too.
    """
    if not trim(text) or is_command(text) or text.endswith("\n"):
        return True
    last = [text[piece.start : piece.stop] for piece in pieces(text)][-1:]
    if last == [";"]:
        return True
    accepted = accepts(text)
    return accepted.complete or not accepted.open
