"""Parses the flags of `headgate SUBCOMMAND`, which may have one or two dashes."""

import argparse
from collections.abc import Sequence
from typing import NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser that exits with status 2 and one line on standard error if a flag is invalid."""

    def error(self, message: str) -> NoReturn:
        """Writes *message* to standard error and exits with status 2.

        The message omits the values of unknown flags: the value of a misspelt flag may be a secret.
        """
        kind, colon, words = message.partition("unrecognized arguments: ")
        if colon:
            flags = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
            message = f"{kind}{colon}{' '.join(flags) or 'a value without a flag'}"
        self.exit(2, f"{self.prog}: {message}\n")


def double_dashes(arguments: Sequence[str]) -> list[str]:
    """Returns *arguments* with two dashes before each long flag.

    Every command of Headgate accepts one dash, as the programs of InfluxDB do. Words after `--` are
    no flags.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    doubled = [
        f"-{word}" if len(word) > 2 and word[0] == "-" != word[1] else word
        for word in arguments[:end]
    ]
    return [*doubled, *arguments[end:]]
