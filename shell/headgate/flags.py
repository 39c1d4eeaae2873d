"""Parses the flags of `headgate SUBCOMMAND`, which may have one or two dashes."""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

# argparse's message, up to the list of choices.
_INVALID_CHOICE = re.compile(r"argument ([^:]+): invalid choice: ['\"]?(.*?)['\"]? \(")

# What else argparse says of a word that was given, and what is said in its place.
_TOLD_WORDS = (
    (re.compile(r"ignored explicit argument .*", re.DOTALL), "expected no value"),
    (re.compile(r"invalid (?:int|float) value: .*", re.DOTALL), "expected a number"),
    (re.compile(r"ambiguous option: .* could match ", re.DOTALL), "ambiguous flag, could be "),
)


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

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Returns the values of *arguments*, whose long flags have one dash or two.

        Exits with status 2 and one line if an argument is invalid or unknown.
        """
        found, unknown = self.parse_known_args(double_dashes(arguments))
        if unknown:
            flag = unknown[0].partition("=")[0]
            near = did_you_mean(flag, self._flag_names()) if flag.startswith("-") else ""
            what = f"{flag}{near}" if near else "see -help"
            kind = "flag" if flag.startswith("-") else "value without a flag"
            self.error(f"unknown {kind}{' ' if near else ': '}{what}")
        return found

    def error(self, message: str) -> NoReturn:
        """Writes *message* to standard error and exits with status 2.

        The message names no word that was given, unless it resembles a command or a flag: any other
        word may be a secret.
        """
        if (found := _INVALID_CHOICE.search(message)) is not None:
            message = self._invalid_choice(*found.groups())
        for pattern, text in _TOLD_WORDS:
            message = pattern.sub(text, message)
        self.exit(2, f"{self.prog}: {message}\n")

    def _flag_names(self) -> Iterator[str]:
        """Yields the names of the flags of this parser, and of those below it."""
        yield from (name for action in self.arguments for name in action.option_strings)
        for _, parser in self.commands.values():
            yield from parser._flag_names()

    def _invalid_choice(self, argument: str, word: str) -> str:
        """Returns the error for *word*, a value of *argument* that is none of its choices."""
        if argument.upper() == argument and self.commands:
            if near := did_you_mean(word, self.commands):
                return f"unknown command {word!r}{near}"
            return f"unknown command, expected {_any_of(self.commands)}"
        for action in self.arguments:
            if argument in ("/".join(action.option_strings), action.metavar, action.dest):
                if not action.option_strings:
                    return f"expected only {_any_of(map(str, action.choices or ()))}: {action.help}"
                return f"{argument}: expected {_any_of(map(str, action.choices or ()))}"
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
    # Imported on demand: valid words need no such help, and the server's package takes long.
    from headgate_server.config import nearest_name

    return nearest_name.did_you_mean(word, known)


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
