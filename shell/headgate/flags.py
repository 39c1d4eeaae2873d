"""Parses the flags of `headgate SUBCOMMAND`, which may have one or two dashes."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser that exits with status 2 and one line on standard error if a flag is invalid.

    *arguments* are its flags and positional arguments, and *commands* the parsers below it by name,
    each with its help: completions and manual pages are made of them.
    """

    def __init__(self, **options: Any) -> None:
        self.arguments: list[argparse.Action] = []
        self.commands: dict[str, tuple[str, CommandParser]] = {}
        super().__init__(**options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Adds an argument, as the base class does."""
        return self.record(super().add_argument(*names, **options))

    def record(self, action: argparse.Action) -> argparse.Action:
        """Adds *action*, which a group of this parser has added, to `arguments`."""
        self.arguments.append(action)
        return action

    def add_commands(self, dest: str = "command", metavar: str = "COMMAND") -> "Commands":
        """Returns what adds commands below this parser. One of them is required."""
        return Commands(self, dest, metavar)

    def error(self, message: str) -> NoReturn:
        """Writes *message* to standard error and exits with status 2.

        The message omits the values of unknown flags: the value of a misspelt flag may be a secret.
        """
        kind, colon, words = message.partition("unrecognized arguments: ")
        if colon:
            flags = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
            message = f"{kind}{colon}{' '.join(flags) or 'a value without a flag'}"
        self.exit(2, f"{self.prog}: {message}\n")


class Commands:
    """Adds commands to *parser*; the name of the chosen one is the attribute *dest*."""

    def __init__(self, parser: CommandParser, dest: str, metavar: str) -> None:
        self._parser = parser
        self._choice = parser.add_subparsers(dest=dest, required=True, metavar=metavar)

    def add_parser(self, name: str, help: str) -> CommandParser:
        """Returns the parser of the new command *name*."""
        parser = self._choice.add_parser(name, help=help)
        self._parser.commands[name] = help, parser
        return parser


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
