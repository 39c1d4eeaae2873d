"""`headgate store` and `headgate audit`: work on a store file, without a server."""

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
# Two blanks part columns, and JSON's quotes mark a text that is not shown as it is.
_AMBIGUOUS = re.compile(r'  |^ | $|^"|^-$')


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def store_main(arguments: Sequence[str]) -> int:
    """`headgate store check PATH`, `backup`, `restore` and `accept-rollback`."""
    parser = _Parser(prog="headgate store", description="Look after a store file.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="whether the file is whole; exit status 1 if not")
    check.add_argument("path", metavar="PATH")
    backup = commands.add_parser("backup", help="a copy, also while a server runs on it")
    backup.add_argument("path", metavar="PATH")
    backup.add_argument("to", metavar="TO", help="must not be there yet")
    back = commands.add_parser(
        "restore", help="put a backup in place; refused while a server runs on the store"
    )
    back.add_argument("backup", metavar="BACKUP")
    back.add_argument("path", metavar="PATH")
    accept = commands.add_parser(
        "accept-rollback",
        help="go on with a store that is behind what was acknowledged; not while a server runs",
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
    """`headgate audit --store PATH [--since 1h] [--user U] [--json]`."""
    parser = _Parser(
        prog="headgate audit",
        description="Who changed what, or was refused, when, from where, with which outcome.",
    )
    parser.add_argument("--store", metavar="PATH", required=True)
    parser.add_argument("--since", metavar="DURATION", help="only the last 30m, 12h, 7d, ...")
    parser.add_argument("--user", metavar="NAME", help="only what this user did")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    flags = parser.parse_args(_doubled(arguments))
    return _guarded(lambda: _audit(flags))


def _doubled(arguments: Sequence[str]) -> list[str]:
    """As everywhere in Headgate, one dash will do."""
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
        print(f"{flags.path}: well; {users} users, {databases} databases, rev {store.fence()}")
    return 0


def _backup(flags: argparse.Namespace) -> int:
    with _opened(flags.path) as store:
        store.backup(flags.to)
    print(f"{flags.path}: copied to {flags.to}")
    return 0


def _restore(flags: argparse.Namespace) -> int:
    old = restore(flags.backup, flags.path)
    kept = f"; what was there is {old}" if old is not None else ""
    print(f"{flags.path}: restored from {flags.backup}{kept}")
    return 0


def _accept(flags: argparse.Namespace) -> int:
    print(f"{flags.path}: goes on from revision {accept_rollback(flags.path)}")
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
    """The store that is there: a mistyped name must not make a new one. Raises StoreError."""
    return closing(SqliteStore(path, create=False))


def _line(record: AuditRecord) -> str:
    outcome = record.outcome if record.count == 1 else f"{record.outcome} ({record.count} times)"
    parts = (record.time, record.actor, record.address, outcome, record.statement)
    return "  ".join(map(_column, parts))


def _column(text: str) -> str:
    """*text* as a column; as JSON's string where it could steer a terminal, or be taken for several
    columns, for another line or for an empty one.
    """
    if not text:
        return "-"
    plain = text.isprintable() and not _AMBIGUOUS.search(text)
    return text if plain else json.dumps(text)
