"""Parses the flags of `headgate SUBCOMMAND`, which may have one or two dashes."""

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

# argparse's message, up to the list of choices.
_INVALID_CHOICE = re.compile(r"argument ([^:]+): invalid choice: ['\"]?(.*?)['\"]? \(")


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

        The message omits the values of unknown flags and of positional arguments: they may be
        secrets. It suggests the name of a misspelt command or flag.
        """
        if (found := _INVALID_CHOICE.search(message)) is not None:
            message = self._invalid_choice(*found.groups())
        kind, colon, words = message.partition("unrecognized arguments: ")
        if colon:
            flags = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
            known = [name for action in self.arguments for name in action.option_strings]
            hint = did_you_mean(flags[0], known) if len(flags) == 1 else ""
            message = f"{kind}{colon}{' '.join(flags) or 'a value without a flag'}{hint}"
        self.exit(2, f"{self.prog}: {message}\n")

    def _invalid_choice(self, argument: str, word: str) -> str:
        """Returns the error for *word*, a value of *argument* that is none of its choices."""
        if argument.upper() == argument and self.commands:
            hint = did_you_mean(word, self.commands) or f", expected {_any_of(self.commands)}"
            return f"unknown command {word!r}{hint}"
        for action in self.arguments:
            if argument in ("/".join(action.option_strings), action.metavar, action.dest):
                meaning = "" if action.option_strings else f": {action.help}"
                return f"{argument}: expected {_any_of(map(str, action.choices or ()))}{meaning}"
        return f"{argument}: invalid value"


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns the end of an error message with the name in *known* that is most similar to *word*.

    Returns "" if no name is similar.
    """
    near = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {near[0]}?" if near else ""


def _any_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


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
