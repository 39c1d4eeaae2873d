"""`headgate apply`: makes a user store match a file of users, grants and databases."""

import argparse
import os
from collections.abc import Sequence
from contextlib import closing

from headgate.configured_engine import build_engine, load_settings
from headgate.flags import CommandParser, double_dashes
from headgate.state_file import read_state
from headgate.store_file import guarded, local_address
from headgate_engine import MemoryStore, SqliteStore, Store, apply_changes, plan_changes

# The exit status of `--dry-run` if there are changes to make.
_WOULD_CHANGE = 2


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate apply FILE`; returns the exit status: with --dry-run 2 for needed changes."""
    parser = CommandParser(
        prog="headgate apply",
        description="Make a user store match a file. Lists the changes as statements, and makes"
        " them in one transaction: all or none. Repeating it changes nothing.",
    )
    add = parser.add_argument
    add("path", metavar="FILE", help="TOML, or YAML if the name ends with .yaml or .yml")
    add("--store", metavar="PATH", help="the store file; created if missing")
    add("--config", metavar="PATH", help="the server's configuration: its store, password rules")
    add("--dry-run", action="store_true", help="only list the changes; status 2 if there are any")
    add("--prune", action="store_true", help="drop users and databases that the file lacks")
    flags = parser.parse_args(double_dashes(arguments))
    return guarded(lambda: _apply(flags))


def _apply(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    state = read_state(flags.path)
    missing = not os.path.exists(settings.store_path)
    store: Store = MemoryStore() if missing and flags.dry_run else SqliteStore(settings.store_path)
    with closing(store):
        engine = build_engine(store, settings)
        plan = plan_changes(engine, state, prune=flags.prune)
        # A dry run finds what only the transaction can find, such as the last administrator.
        apply_changes(engine, plan, address=local_address(), dry_run=flags.dry_run)
    for change in plan:
        print(change.statement)
    verb = "would be made" if flags.dry_run else "made"
    print(f"{settings.store_path}: {len(plan)} changes {verb}")
    return _WOULD_CHANGE if flags.dry_run and plan else 0
