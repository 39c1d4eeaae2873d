"""What the commands `key`, `user` and `session` share: flags, look-ups and printed lists."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from headgate.configured_engine import load_settings
from headgate.store_file import opened, print_line
from headgate_engine import MAX_GRACE_SECONDS, Engine, User
from headgate_server import build_engine
from headgate_server.config.values import seconds


def add_store_flags(command: argparse.ArgumentParser) -> None:
    """Adds the flags `--store`, `--config` and `--json` to *command*."""
    command.add_argument("--store", metavar="PATH", help="the store file")
    command.add_argument("--config", metavar="PATH", help="the server's configuration file")
    command.add_argument("--json", action="store_true", help="print JSON")


@contextmanager
def opened_engine(flags: argparse.Namespace) -> Iterator[Engine]:
    """Returns a context with an engine on the store of *flags*, with the server's rules.

    Raises StoreError if the file is missing, and ValueError for an invalid setting.
    """
    settings = load_settings(flags.config, store=flags.store)
    with opened(settings) as store:
        yield build_engine(store, settings)


def named_user(engine: Engine, name: str) -> User:
    """Returns the user *name*. Raises ValueError if there is none."""
    user = engine.user(name)
    if user is None:
        raise ValueError(f"user not found: {name}")
    return user


def print_list(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Prints *rows* as JSON, one object a line, or as a table of *columns*."""
    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    texts = [list(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        pairs = zip(line, widths, strict=True)
        print_line("  ".join(text.ljust(width) for text, width in pairs).rstrip())


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{on}={text}" for on, text in value.items()) or "-"
    return str(value)


def pages(read: Callable[[str], Sequence[Any]]) -> Iterator[Any]:
    """Yields the records that *read* returns, a page after the record with an id at a time."""
    after = ""
    while page := read(after):
        yield from page
        after = page[-1].id


def duration_of(flag: str, text: str) -> int:
    """Returns the duration *text*, such as `30d`, in seconds. Raises ValueError."""
    try:
        return int(seconds(text))
    except ValueError:
        raise ValueError(f"{flag}: expected a duration such as 30d or 12h") from None


def grace_of(flags: argparse.Namespace) -> int:
    """Returns the seconds of `--grace`. Raises ValueError."""
    found = duration_of("--grace", flags.grace)
    if found > MAX_GRACE_SECONDS:
        raise ValueError(f"--grace {flags.grace}: expected at most {MAX_GRACE_SECONDS // 86_400}d")
    return found


def lifetime_of(flags: argparse.Namespace) -> int | None:
    """Returns the seconds of `--ttl`; None without it. Raises ValueError."""
    if flags.ttl is None:
        return None
    if not (found := duration_of("--ttl", flags.ttl)):
        raise ValueError(f"--ttl {flags.ttl}: expected a duration above 0, such as 30d")
    return found


def key_id(text: str) -> str:
    """Returns *text*, the id of a key. Raises ValueError, without the text: it may be a key."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("expected the id of a key, a number: see headgate key list")
    return text
