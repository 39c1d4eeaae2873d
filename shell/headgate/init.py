"""`headgate init`: creates a user store with its first administrator, before a server starts."""

import argparse
import os
from collections.abc import Sequence
from contextlib import closing

from headgate.configured_engine import build_engine, load_settings
from headgate.flags import CommandParser, double_dashes
from headgate.password_input import read_password
from headgate.store_file import guarded, local_address
from headgate_engine import (
    DeclaredState,
    DeclaredUser,
    SqliteStore,
    apply_changes,
    plan_changes,
)


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate init`; returns the exit status. Does nothing if an administrator exists."""
    parser = CommandParser(
        prog="headgate init",
        description="Create a user store with its first administrator. Repeating it is harmless:"
        " a store with an administrator stays as it is.",
    )
    add = parser.add_argument
    add("--store", metavar="PATH", help="the store file; created if missing")
    add("--config", metavar="PATH", help="the server's configuration: its store, password rules")
    add("--admin", metavar="NAME", required=True, help="the name of the administrator")
    add(
        "--password-file",
        metavar="FILE",
        help="its first line is the password; - is standard input. Default: ask on the terminal",
    )
    flags = parser.parse_args(double_dashes(arguments))
    return guarded(lambda: _initialize(flags))


def _initialize(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    # A new store file is created only once the password is known.
    password = "" if os.path.exists(settings.store_path) else read_password(flags.password_file)
    with closing(SqliteStore(settings.store_path)) as store:
        if store.admin_count():
            print(f"{settings.store_path}: has an administrator already; nothing was changed")
            return 0
        if store.user(flags.admin) is not None:
            raise ValueError(
                f"{flags.admin} exists, but is no administrator: use `headgate admin grant-admin`"
            )
        user = DeclaredUser(flags.admin, password or read_password(flags.password_file), admin=True)
        engine = build_engine(store, settings)
        plan = plan_changes(engine, DeclaredState(users=[user]))
        apply_changes(engine, plan, address=local_address())
        print(f"{settings.store_path}: created the administrator {flags.admin}")
    return 0
