"""What other users of the machine see of this process: its arguments, but no secret."""

import shlex
from collections.abc import Sequence

from setproctitle import setproctitle

_SECRET = "--shared-secret"
_REDACTED = "[REDACTED]"


def show_arguments(arguments: Sequence[str]) -> None:
    """Makes `ps` show *arguments* of `headgate serve`, with `[REDACTED]` for the secret."""
    setproctitle(shlex.join(["headgate", "serve", *without_secrets(arguments)]))


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """*arguments* with `[REDACTED]` in place of the shared secret."""
    shown: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if before == _SECRET:
            shown.append(_REDACTED)
        elif word.startswith(f"{_SECRET}="):
            shown.append(f"{_SECRET}={_REDACTED}")
        else:
            shown.append(word)
    return shown
