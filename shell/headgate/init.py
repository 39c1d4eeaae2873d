"""`headgate init`: creates a user store with its first administrator, before a server starts."""

import argparse
import os
from collections.abc import Sequence

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.password_input import read_password
from headgate.store_file import guarded, local_address, opened, print_line
from headgate_engine import (
    BadPassword,
    DeclaredState,
    DeclaredUser,
    apply_changes,
    check_user,
    plan_changes,
)
from headgate_server import Settings, build_engine, build_passwords


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate init`."""
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
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate init`; returns the exit status. Does nothing if an administrator exists."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _initialize(flags))


def _initialize(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    check_user(DeclaredUser(flags.admin))
    path = settings.store_path
    # A new store file is created only once the password is known and valid.
    hash = "" if settings.is_store_shared or os.path.exists(path) else _read_hash(flags, settings)
    with opened(settings, create=True) as store:
        engine = build_engine(store, settings)
        created = False
        user = store.user(flags.admin)
        is_admin = user is not None and user.admin
        if not store.admin_count():
            if user is not None:
                raise ValueError(
                    f"{flags.admin} exists, but is no administrator:"
                    " use `headgate admin grant-admin`"
                )
            new = DeclaredUser(flags.admin, hash=hash or _read_hash(flags, settings), admin=True)
            plan = plan_changes(engine, DeclaredState(users=[new]))
            created = apply_changes(
                engine, plan, address=local_address(), require=lambda tx: not tx.admin_count()
            )
    print_line(
        f"{path}: created the administrator {flags.admin}"
        if created
        else f"{path}: has an administrator already"
        f"{'' if is_admin else f', but {flags.admin} is none'}; nothing was changed"
    )
    return 0


def _read_hash(flags: argparse.Namespace, settings: Settings) -> str:
    """Returns the hash of the password that the flags name. Raises ValueError."""
    try:
        return build_passwords(settings).hash(read_password(flags.password_file))
    except BadPassword as error:
        named = flags.password_file not in (None, "-")
        place = f"--password-file {flags.password_file}: " if named else ""
        raise ValueError(f"{place}{error}") from None
