"""Decides whether Enter runs the typed text or starts a new line."""

from headgate_grammar import completions, highlight
from headgate_shell.commands.dispatch import is_command
from headgate_shell.go_space import trim


def is_complete(text: str) -> bool:
    """Returns whether Enter runs *text*.

    Enter runs a command of the shell, complete statements, and a text that ends in `;` or with an
    empty line. Enter also runs a text that no continuation makes valid: the server then reports
    the error.
    """
    if not trim(text) or is_command(text) or text.endswith(("\n", "\\G")) or text[:1] == "\\":
        return True
    last = [text[piece.start : piece.stop] for piece in highlight(text)][-1:]
    if last == [";"]:
        return True
    accepted = completions(text)
    return accepted.complete or not accepted.incomplete
