"""`headgate audit`: lists the changes and the denied attempts of a store, or of a server."""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta

from headgate.flags import CommandParser
from headgate.store_file import PAGE_SIZE, guarded, opened_at, print_line
from headgate_engine import AuditFilter, AuditRecord, Store, audit_kind, json_line
from headgate_grammar import parse_duration

# Two spaces separate columns, and a leading quote marks a text printed as a JSON string.
_AMBIGUOUS = re.compile(r'  |^ | $|^"|^-$')
_FOLLOW_SECONDS = 1.0
_NO_RECORDS = "no records"
_FILTERS = (
    ("user", "NAME", "only records of this user"),
    ("target", "NAME", "only records whose statement names this user, key or other thing"),
    ("database", "NAME", "only records whose statement names this database"),
    ("kind", "WORDS", "only this kind: GRANT, 'CREATE USER', login, key, session"),
    ("outcome", "WORD", "only this outcome: ok, refused, forwarded, or a part of its text"),
)


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate audit`."""
    parser = CommandParser(
        prog="headgate audit",
        description="List changes and denied attempts: time, user, address, outcome, statement.",
    )
    add = parser.add_argument
    add("--store", metavar="PATH", help="the store file, or the URL of a store")
    add("--server", "--url", metavar="URL", help="a running server: see headgate login")
    add("--since", metavar="DURATION", help="only records of the last 30m, 12h, 7d, ...")
    for name, metavar, meaning in _FILTERS:
        add(f"--{name}", metavar=metavar, default="", help=meaning)
    add("--follow", action="store_true", help="go on with new records, until Ctrl-C")
    add("--summary", action="store_true", help="count by user, kind and outcome")
    add("--json", action="store_true", help="one JSON object per line")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate audit --store PATH` or `--server URL`; returns the status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _audit(flags))


def _audit(flags: argparse.Namespace) -> int:
    if (flags.store is None) == (flags.server is None):
        raise ValueError("expected --store PATH or --server URL, and one of them")
    if flags.follow and flags.summary:
        raise ValueError("--follow and --summary: expected one of them")
    chosen = AuditFilter(
        since=_earliest(flags.since), **{name: getattr(flags, name) for name, *_ in _FILTERS}
    )
    with ExitStack() as stack:
        if flags.server is not None:
            records = _records_of_server(flags.server, chosen, follow=flags.follow)
        else:
            store = stack.enter_context(opened_at(flags.store))
            records = filter(chosen.accepts, _records(store, follow=flags.follow))
        if flags.summary:
            _summarize(records, as_json=flags.json)
            return 0
        if not flags.json and sys.stdout.isatty():
            print("TIME  USER  ADDRESS  OUTCOME  STATEMENT")
        shown = 0
        for record in records:
            print(json_line(record) if flags.json else _line(record), flush=flags.follow)
            shown += 1
        if not shown:
            print(_NO_RECORDS, file=sys.stderr)
    return 0


def _earliest(since: str | None) -> str:
    """Returns the time of the earliest record for the flag *since*."""
    if since is None:
        return ""
    try:
        span = timedelta(microseconds=parse_duration(since) / 1000)
        return (datetime.now(UTC) - span).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        raise ValueError(f"--since {since}: expected a duration such as 12h") from None


def _records(store: Store, *, follow: bool) -> Iterator[AuditRecord]:
    last = 0
    while True:
        while page := store.audit(last, PAGE_SIZE):
            yield from page
            last = page[-1].id
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _records_of_server(url: str, chosen: AuditFilter, *, follow: bool) -> Iterator[AuditRecord]:
    # Imported on demand: a store needs no connection.
    from headgate.server_requests import ServerAway, ServerRequests

    server = ServerRequests(url)
    names = {field.name for field in fields(AuditRecord)}
    # To follow, all records are fetched once and chosen here: a filtered answer does not say how
    # far the server has looked.
    parameters = {} if follow else {name: text for name, text in asdict(chosen).items() if text}
    is_away = False
    while True:
        try:
            for page in server.pages("/api/audit", parameters):
                is_away = False
                for content in page:
                    if not names <= content.keys():
                        raise ValueError(f"{url}: the response has no records of an audit")
                    record = AuditRecord(**{name: content[name] for name in names})
                    if not follow or chosen.accepts(record):
                        yield record
                parameters["after"] = str(page[-1]["id"])
        except ServerAway as error:
            if not (follow and "after" in parameters):
                raise
            if not is_away:
                print_line(f"headgate: {error}: trying again", sys.stderr)
            is_away = True
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _summarize(records: Iterator[AuditRecord], *, as_json: bool) -> None:
    """Prints how many records there are of each user, kind and outcome, the most first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    newest: dict[tuple[str, str, str], str] = {}
    for record in records:
        key = (record.actor, audit_kind(record), record.outcome)
        counts[key] += record.count
        newest[key] = record.time
    for key, count in counts.most_common():
        actor, kind, outcome = key
        if as_json:
            content = {"count": count, "user": actor, "kind": kind, "outcome": outcome}
            print(json.dumps(content | {"newest": newest[key]}))
        else:
            columns = map(_column, (newest[key], actor, kind, outcome))
            print(f"{count:6}", *columns, sep="  ")
    if not counts:
        print(_NO_RECORDS, file=sys.stderr)


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
