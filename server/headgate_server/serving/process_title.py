"""The process title that other users of the machine see: the arguments, without secrets."""

import shlex
from collections.abc import Sequence

from setproctitle import setproctitle

from headgate_grammar import REDACTED

_SECRET_FLAGS = ("--shared-secret", "--gateway.auth.jwt-secret")


def show_arguments(arguments: Sequence[str]) -> None:
    """Makes `ps` show *arguments* of `headgate serve`, with `[REDACTED]` for secrets."""
    setproctitle(shlex.join(["headgate", "serve", *redact_arguments(arguments)]))


def show_command(name: str) -> None:
    """Makes `ps` show `headgate` and the subcommand *name*, without further arguments."""
    setproctitle(f"headgate {name}")


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns *arguments* with `[REDACTED]` as the value of each flag that sets a secret."""
    shown: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        flag, equals, _ = word.partition("=")
        if before in _SECRET_FLAGS:
            shown.append(REDACTED)
        elif equals and flag in _SECRET_FLAGS:
            shown.append(f"{flag}={REDACTED}")
        else:
            shown.append(word)
    return shown
