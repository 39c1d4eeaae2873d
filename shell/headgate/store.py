"""`headgate store` and `headgate audit`: commands on a store file, without a server."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from headgate_engine import (
    Account,
    AuditRecord,
    SqliteStore,
    StatementError,
    StoreError,
    accept_rollback,
    json_line,
    restore,
)
from headgate_grammar import parse_duration

_PAGE = 1000
# Two spaces separate columns, and a leading quote marks a text printed as a JSON string.
_AMBIGUOUS = re.compile(r'  |^ | $|^"|^-$')


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def store_main(arguments: Sequence[str]) -> int:
    """Runs `headgate store check`, `backup`, `restore` or `accept-rollback`; returns the status."""
    parser = _Parser(prog="headgate store", description="Check, back up or restore a store file.")
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
    flags = parser.parse_args(_doubled(arguments))
    works = {
        "check": _check,
        "backup": _backup,
        "restore": _restore,
        "accept-rollback": _accept,
    }
    return _guarded(lambda: works[flags.command](flags))


def audit_main(arguments: Sequence[str]) -> int:
    """Runs `headgate audit --store PATH [--since 1h] [--user U] [--json]`; returns the status."""
    parser = _Parser(
        prog="headgate audit",
        description="List changes and denied attempts: time, user, address, outcome, statement.",
    )
    parser.add_argument("--store", metavar="PATH", required=True)
    parser.add_argument(
        "--since", metavar="DURATION", help="only records of the last 30m, 12h, 7d, ..."
    )
    parser.add_argument("--user", metavar="NAME", help="only records of this user")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    flags = parser.parse_args(_doubled(arguments))
    return _guarded(lambda: _audit(flags))


def _doubled(arguments: Sequence[str]) -> list[str]:
    """Doubles a single leading dash: every command of Headgate accepts one or two."""
    return [
        f"-{word}" if len(word) > 2 and word[0] == "-" != word[1] else word for word in arguments
    ]


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except (StoreError, StatementError, ValueError) as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1


def _check(flags: argparse.Namespace) -> int:
    with _opened(flags.path) as store:
        faults = store.check()
        for fault in faults:
            print(f"headgate: {flags.path}: {fault}", file=sys.stderr)
        if faults:
            return 1
        users = sum(1 for _ in _accounts(store))
        databases = len(store.databases())
        print(f"{flags.path}: OK; {users} users, {databases} databases, rev {store.fence()}")
    return 0


def _backup(flags: argparse.Namespace) -> int:
    with _opened(flags.path) as store:
        store.backup(flags.to)
    print(f"{flags.path}: copied to {flags.to}")
    return 0


def _restore(flags: argparse.Namespace) -> int:
    old = restore(flags.backup, flags.path)
    kept = f"; the previous store is {old}" if old is not None else ""
    print(f"{flags.path}: restored from {flags.backup}{kept}")
    return 0


def _accept(flags: argparse.Namespace) -> int:
    print(f"{flags.path}: accepted at revision {accept_rollback(flags.path)}")
    return 0


def _audit(flags: argparse.Namespace) -> int:
    earliest = ""
    if flags.since is not None:
        try:
            span = timedelta(microseconds=parse_duration(flags.since) / 1000)
            earliest = (datetime.now(UTC) - span).isoformat(timespec="microseconds")
        except (ValueError, OverflowError):
            raise ValueError(f"--since {flags.since}: expected a duration such as 12h") from None
    with _opened(flags.store) as store:
        for record in _records(store):
            if record.time < earliest or (flags.user is not None and record.actor != flags.user):
                continue
            print(json_line(record) if flags.json else _line(record))
    return 0


def _records(store: SqliteStore) -> Iterator[AuditRecord]:
    since = 0
    while page := store.audit(since, _PAGE):
        yield from page
        since = page[-1].id


def _accounts(store: SqliteStore) -> Iterator[Account]:
    after = ""
    while page := store.users(after, _PAGE):
        yield from page
        after = page[-1].id


def _opened(path: str) -> closing[SqliteStore]:
    """Opens an existing store; a mistyped path must not create one. Raises StoreError."""
    return closing(SqliteStore(path, create=False))


def _line(record: AuditRecord) -> str:
    outcome = record.outcome if record.count == 1 else f"{record.outcome} ({record.count} times)"
    parts = (record.time, record.actor, record.address, outcome, record.statement)
    return "  ".join(map(_column, parts))


def _column(text: str) -> str:
    """Returns *text* as a column of the listing.

    A text is printed as a JSON string if it has control characters, or could be read as several
    columns, as another line, or as an empty column.
    """
    if not text:
        return "-"
    plain = text.isprintable() and not _AMBIGUOUS.search(text)
    return text if plain else json.dumps(text)
