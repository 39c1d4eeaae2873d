"""`headgate can`: says whether a user may execute a query, and why. Reads a store file."""

import argparse
from collections.abc import Sequence

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.store_file import guarded, opened, print_line
from headgate_engine import explain
from headgate_grammar import ParseError
from headgate_server import build_engine

_NOT_ALLOWED = 1


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate can`."""
    parser = CommandParser(
        prog="headgate can",
        description="Say whether a user may execute a query, and where each privilege comes from."
        " Exit status: 0 yes, 1 no.",
    )
    add = parser.add_argument
    add("user", metavar="USER")
    add("query", metavar="QUERY", help="statements of InfluxQL; they are not executed")
    add("--database", metavar="NAME", default="", help="the default database of the request")
    add("--store", metavar="PATH", help="the store file")
    add("--config", metavar="PATH", help="the server's configuration file: its store")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate can USER QUERY`; returns 0 if the user may execute the query, else 1."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _explain(flags))


def _explain(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    with opened(settings) as store:
        engine = build_engine(store, settings)
        try:
            statements = engine.parse(flags.query)
        except ParseError as error:
            raise ValueError(f"error parsing query: {error}") from None
        user = engine.user(flags.user)
        if user is None:
            raise ValueError(f"user not found: {flags.user}")
        if not user.is_active:
            raise ValueError(f"{flags.user} is disabled: no login succeeds")
        if not statements:
            raise ValueError("the query has no statement")
        allowed = True
        for statement in statements:
            print_line(str(statement))
            found = explain(engine, flags.user, statement, flags.database)
            for one in found:
                if one.required.names_no_database:
                    raise ValueError(f"{statement}: names no database: use --database")
                print_line(f"  {'yes' if one.allowed else 'no '}  {one.required}: {one.source}")
            if not found:
                print("  yes  no privilege is required")
            allowed = allowed and all(one.allowed for one in found)
    return 0 if allowed else _NOT_ALLOWED
