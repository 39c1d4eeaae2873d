"""`headgate audit`: lists the changes and the denied attempts of a store file."""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from headgate.flags import CommandParser, double_dashes
from headgate.store_file import PAGE_SIZE, guarded, opened_at
from headgate_engine import AuditRecord, Store, json_line
from headgate_grammar import parse_duration

# Two spaces separate columns, and a leading quote marks a text printed as a JSON string.
_AMBIGUOUS = re.compile(r'  |^ | $|^"|^-$')


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate audit`."""
    parser = CommandParser(
        prog="headgate audit",
        description="List changes and denied attempts: time, user, address, outcome, statement.",
    )
    parser.add_argument("--store", metavar="PATH", required=True)
    parser.add_argument(
        "--since", metavar="DURATION", help="only records of the last 30m, 12h, 7d, ..."
    )
    parser.add_argument("--user", metavar="NAME", help="only records of this user")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate audit --store PATH [--since 1h] [--user U] [--json]`; returns the status."""
    flags = command_parser().parse_args(double_dashes(arguments))
    return guarded(lambda: _audit(flags))


def _audit(flags: argparse.Namespace) -> int:
    earliest = ""
    if flags.since is not None:
        try:
            span = timedelta(microseconds=parse_duration(flags.since) / 1000)
            earliest = (datetime.now(UTC) - span).isoformat(timespec="microseconds")
        except (ValueError, OverflowError):
            raise ValueError(f"--since {flags.since}: expected a duration such as 12h") from None
    with opened_at(flags.store) as store:
        for record in _records(store):
            if record.time < earliest or (flags.user is not None and record.actor != flags.user):
                continue
            print(json_line(record) if flags.json else _line(record))
    return 0


def _records(store: Store) -> Iterator[AuditRecord]:
    since = 0
    while page := store.audit(since, PAGE_SIZE):
        yield from page
        since = page[-1].id


def _line(record: AuditRecord) -> str:
    outcome = record.outcome if record.count == 1 else f"{record.outcome} ({record.count} times)"
    parts = (record.time, record.actor, record.address, outcome, record.statement)
    return "  ".join(map(_column, parts))


def _column(text: str) -> str:
    """Returns *text* as a column of the listing, with "-" for an empty text.

    A text with control characters becomes a JSON string. So does a text that could be mistaken for
    several columns, another line, or an empty column.
    """
    if not text:
        return "-"
    plain = text.isprintable() and not _AMBIGUOUS.search(text)
    return text if plain else json.dumps(text)
