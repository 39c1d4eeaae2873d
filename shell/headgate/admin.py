"""`headgate admin`: sets passwords and the admin flag in a store file (SQLite), without a login.

The commands also work while a server uses the file.
"""

import argparse
from collections.abc import Sequence

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.password_input import read_password
from headgate.store_file import guarded, local_address, opened
from headgate_engine import UNRESTRICTED
from headgate_grammar import GrantAdmin, SetPassword, Statement
from headgate_server import build_engine


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate admin`."""
    parser = CommandParser(
        prog="headgate admin",
        description="Recover access. Requires write permission on the store file.",
    )
    commands = parser.add_commands()
    for name, help in (
        ("reset-password", "prompt for a new password, or read it from standard input"),
        ("grant-admin", "make a user an administrator"),
    ):
        command = commands.add_parser(name, help=help)
        command.add_argument("name", metavar="NAME")
        command.add_argument("--store", metavar="PATH", dest="store", help="the store file")
        command.add_argument(
            "--config",
            metavar="PATH",
            help="the server's configuration file: its store and its password rules",
        )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate admin reset-password NAME` or `grant-admin NAME`; returns the exit status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _run_command(flags))


def _run_command(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    with opened(settings) as store:
        engine = build_engine(store, settings)
        if engine.user(flags.name) is None:
            raise ValueError(f"user not found: {flags.name}")
        statement: Statement
        if flags.command == "reset-password":
            statement = SetPassword(flags.name, read_password(None))
        else:
            statement = GrantAdmin(flags.name)
        for result in engine.execute([statement], UNRESTRICTED, address=local_address()):
            if result.error:
                raise ValueError(result.error)
        print(f"{settings.store_path}: {statement}")
    return 0
