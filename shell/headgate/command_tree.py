"""The commands with their flags, read from their parsers: for completions and manual pages."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module

from headgate.commands import COMMANDS
from headgate.flags import CommandParser
from headgate_shell.cli import USAGE

# `  -port NUMBER    its port (8086)` in the help of `headgate shell`.
_SHELL_FLAG = re.compile(r"^  (-\w[\w-]*)(?: ([A-Z]+))? {2,}(.+)$", re.MULTILINE)
_FILE_WORDS = frozenset("PATH FILE BACKUP LOCATION TO DIR CONFIG".split())


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag. *value* is the placeholder of its value, "" for a flag without one."""

    names: tuple[str, ...]
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()

    @property
    def takes_file(self) -> bool:
        """Whether its value is the path of a file."""
        return self.value.upper() in _FILE_WORDS


@dataclass(frozen=True, slots=True)
class Node:
    """A command, with the *words* that choose it, its *flags* and its further *commands*.

    *choices* are the words that its positional argument may be.
    """

    words: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...] = ()
    commands: tuple["Node", ...] = field(default=())
    takes_file: bool = False
    choices: tuple[str, ...] = ()

    @property
    def next_words(self) -> list[tuple[str, str]]:
        """The words that may follow, each with its help."""
        return [(it.words[-1], it.help) for it in self.commands] + [(it, "") for it in self.choices]

    def all(self) -> Iterator["Node"]:
        """Yields this command, and all commands below it."""
        yield self
        for one in self.commands:
            yield from one.all()


def command_tree() -> Node:
    """Returns the command `headgate`, with all commands below it. Imports every command."""
    return Node(
        (), "", (), tuple(_command(name, command.help) for name, command in COMMANDS.items())
    )


def _command(name: str, help: str) -> Node:
    if name == "shell":
        found = _SHELL_FLAG.findall(USAGE)
        flags = tuple(Flag((flag,), text, value) for flag, value, text in found)
        return Node((name,), help, flags)
    parser: CommandParser = import_module(f"headgate.{COMMANDS[name].module}").command_parser()
    return _node(parser, (name,), help)


def _node(parser: CommandParser, words: tuple[str, ...], help: str) -> Node:
    commands = tuple(
        _node(one, (*words, name), meaning) for name, (meaning, one) in parser.commands.items()
    )
    flags = tuple(_flag(it) for it in parser.arguments if it.option_strings)
    places = [it for it in parser.arguments if not it.option_strings]
    takes_file = any(_placeholder(place) in _FILE_WORDS for place in places)
    choices = tuple(str(word) for place in places for word in place.choices or ())
    return Node(words, help, flags, commands, takes_file, choices)


def _flag(action: argparse.Action) -> Flag:
    has_value = action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction)
    help = (action.help or "").replace("%%", "%").replace("%(default)s", str(action.default))
    choices = tuple(map(str, action.choices or ()))
    value = _placeholder(action) if has_value else ""
    return Flag(tuple(action.option_strings), help, value, choices)


def _placeholder(action: argparse.Action) -> str:
    return str(action.metavar or action.dest).upper()
