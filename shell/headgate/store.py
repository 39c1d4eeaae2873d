"""`headgate store`: checks, backs up and restores the SQLite file of users, without a server."""

import argparse
import sys
from collections.abc import Sequence

from headgate.flags import CommandParser, double_dashes
from headgate.store_file import accounts, guarded, opened
from headgate_engine import (
    accept_rollback,
    restore,
)


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate store check`, `backup`, `restore` or `accept-rollback`; returns the status."""
    parser = CommandParser(
        prog="headgate store", description="Check, back up or restore a store file."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="verify the file; exit status 1 if it is damaged")
    check.add_argument("path", metavar="PATH")
    backup = commands.add_parser("backup", help="copy the store, also while a server runs on it")
    backup.add_argument("path", metavar="PATH")
    backup.add_argument("to", metavar="TO", help="must not exist")
    back = commands.add_parser(
        "restore", help="replace the store by a backup; fails while a server runs on it"
    )
    back.add_argument("backup", metavar="BACKUP")
    back.add_argument("path", metavar="PATH")
    accept = commands.add_parser(
        "accept-rollback",
        help="accept a store that lacks acknowledged changes; fails while a server runs on it",
    )
    accept.add_argument("path", metavar="PATH")
    flags = parser.parse_args(double_dashes(arguments))
    works = {
        "check": _check,
        "backup": _backup,
        "restore": _restore,
        "accept-rollback": _accept_rollback,
    }
    return guarded(lambda: works[flags.command](flags))


def _check(flags: argparse.Namespace) -> int:
    with opened(flags.path) as store:
        integrity_errors = store.check()
        for integrity_error in integrity_errors:
            print(f"headgate: {flags.path}: {integrity_error}", file=sys.stderr)
        if integrity_errors:
            return 1
        users = sum(1 for _ in accounts(store))
        databases = len(store.databases())
        print(
            f"{flags.path}: OK; {users} users, {databases} databases,"
            f" rev {store.confirmed_revision()}"
        )
    return 0


def _backup(flags: argparse.Namespace) -> int:
    with opened(flags.path) as store:
        store.backup(flags.to)
    print(f"{flags.path}: copied to {flags.to}")
    return 0


def _restore(flags: argparse.Namespace) -> int:
    old = restore(flags.backup, flags.path)
    previous = f"; the previous store is {old}" if old is not None else ""
    print(f"{flags.path}: restored from {flags.backup}{previous}")
    return 0


def _accept_rollback(flags: argparse.Namespace) -> int:
    print(f"{flags.path}: accepted at revision {accept_rollback(flags.path)}")
    return 0
