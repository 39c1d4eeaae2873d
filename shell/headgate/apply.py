"""`headgate apply`: makes a user store match a file of users, grants and databases."""

import argparse
from collections.abc import Sequence
from contextlib import closing

from headgate.configured_engine import build_engine, load_settings
from headgate.flags import CommandParser, double_dashes
from headgate.state_file import read_state
from headgate.store_file import guarded, local_address, opened_or_empty, print_line
from headgate_engine import SqliteStore, apply_changes, plan_changes

# The exit status of `--dry-run` if there are changes to make.
_WOULD_CHANGE = 2


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate apply FILE`; returns the exit status: with --dry-run 2 for needed changes."""
    parser = CommandParser(
        prog="headgate apply",
        description="Make a user store match a file. Lists the changes as statements, and makes"
        " them in one transaction: all or none. Repeating it changes nothing. docs/moving.md has"
        " the form of the file.",
    )
    add = parser.add_argument
    add("path", metavar="FILE", help="TOML, or YAML if the name ends with .yaml or .yml")
    add("--store", metavar="PATH", help="the store file; created if missing")
    add("--config", metavar="PATH", help="the server's configuration: its store, password rules")
    add("--dry-run", action="store_true", help="only list the changes; status 2 if there are any")
    add(
        "--prune", action="store_true", help="drop other users and databases than those of the file"
    )
    flags = parser.parse_args(double_dashes(arguments))
    return guarded(lambda: _apply(flags))


def _apply(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    state = read_state(flags.path)
    address = local_address()
    with opened_or_empty(settings.store_path) as planned_on:
        engine = build_engine(planned_on, settings)
        plan = plan_changes(engine, state, prune=flags.prune)
        # A dry run finds what only the transaction can find, such as the last administrator.
        apply_changes(engine, plan, address=address, dry_run=True)
    if not flags.dry_run:
        with closing(SqliteStore(settings.store_path)) as store:
            apply_changes(build_engine(store, settings), plan, address=address)
    for change in plan:
        print_line(str(change.statement))
    verb = "would be made" if flags.dry_run else "made"
    print_line(f"{settings.store_path}: {len(plan)} changes {verb}")
    return _WOULD_CHANGE if flags.dry_run and plan else 0
