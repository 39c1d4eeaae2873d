"""`headgate store`: makes, checks, copies, backs up and restores user stores, without a server."""

import argparse
import sys
from collections.abc import Sequence
from typing import cast

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.store_file import accounts, counted, guarded, opened, opened_at, print_line
from headgate_engine import (
    SqliteStore,
    StoreError,
    StoreOptions,
    accept_rollback_at,
    check_shared_store,
    copy_store,
    create_store_at,
    is_url,
    restore,
)

_NEARLY_FULL = 0.8
_LOCATION = "a store file, or a URL: etcd://HOST:PORT/PREFIX or postgresql://HOST/DATABASE"


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate store`."""
    parser = CommandParser(
        prog="headgate store",
        description="Make, check, copy, back up or restore a user store. How to log in at a URL is"
        " read from --config, and from HEADGATE_STORE_USER, HEADGATE_STORE_PASSWORD_FILE and the"
        " other variables of [store].",
    )
    commands = parser.add_commands()

    def command(name: str, help: str, **places: str) -> None:
        one = commands.add_parser(name, help=help)
        for place, meaning in places.items():
            one.add_argument(place, metavar=place.upper(), help=meaning)
        one.add_argument("--config", metavar="FILE", help="the server's configuration: its [store]")
        if name == "copy":
            one.add_argument(
                "--without-audit",
                action="store_true",
                help="copy only the newest record of the audit",
            )

    command(
        "init",
        "make an empty store at a URL",
        url="etcd://HOST:PORT/PREFIX or postgresql://HOST/DATABASE",
    )
    command("check", "verify a store; exit status 1 if it is damaged", location=_LOCATION)
    command(
        "backup",
        "copy a store to a file, also while a server runs on it",
        location=_LOCATION,
        to="a new store file",
    )
    command(
        "copy",
        "move to another kind of store; fails while a server runs on it",
        location=_LOCATION,
        to="a store file or a URL, where there is no store",
    )
    command(
        "restore",
        "replace the file of a store by a backup; fails while a server runs on it",
        backup="a file that `headgate store backup` has made",
        location="the store file to replace",
    )
    command(
        "accept-rollback",
        "accept a store that lacks acknowledged changes; fails while a server runs on it",
        location=_LOCATION,
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command of `headgate store`; returns the exit status."""
    flags = command_parser().parse(arguments)
    works = {
        "init": _init,
        "check": _check,
        "backup": _backup,
        "copy": _copy,
        "restore": _restore,
        "accept-rollback": _accept_rollback,
    }
    return guarded(lambda: works[flags.command](flags))


def _options(flags: argparse.Namespace, location: str) -> StoreOptions | None:
    """Returns how to use the store at *location*; None for a file."""
    if not is_url(location):
        return None
    return load_settings(flags.config, store=location).store_options()


def _init(flags: argparse.Namespace) -> int:
    if not is_url(flags.url):
        raise ValueError(f"{flags.url} is no URL: a store file is made by `headgate init`")
    if not create_store_at(flags.url, _options(flags, flags.url)):
        raise StoreError(f"{flags.url}: there is a store already; nothing was changed")
    print(f"{flags.url}: made an empty store; the first user becomes its administrator")
    return 0


def _check(flags: argparse.Namespace) -> int:
    location = flags.location
    if is_url(location):
        faults = check_shared_store(location, _options(flags, location))
    else:
        with opened_at(location) as store:
            faults = cast(SqliteStore, store).check()
    for fault in faults:
        print(f"headgate: {location}: {fault}", file=sys.stderr)
    if faults:
        return 1
    with opened(load_settings(flags.config, store=location)) as store:
        users = sum(1 for _ in accounts(store))
        databases = len(store.databases())
        revision = store.confirmed_revision()
        condition, size = store.condition(), store.size()
    print(
        f"{location}: OK ({counted(users, 'user')}, {counted(databases, 'database')},"
        f" revision {revision})"
    )
    if condition is not None:
        print(f"{location}: {condition.members_up} of {condition.members} members respond")
    if size is not None and size.limit and size.allocated >= _NEARLY_FULL * size.limit:
        print_line(
            f"headgate: {location}: {size.allocated / size.limit:.0%} of its size limit are"
            " allocated: run `etcdctl compact`, `etcdctl defrag` for one member after the other,"
            " and `etcdctl alarm disarm`",
            sys.stderr,
        )
    return 0


def _backup(flags: argparse.Namespace) -> int:
    if is_url(flags.location):
        if is_url(flags.to):
            raise ValueError(f"{flags.to}: a backup is a file; see `headgate store copy`")
        copy_store(flags.location, flags.to, _options(flags, flags.location), served=True)
    else:
        with opened_at(flags.location) as store:
            cast(SqliteStore, store).backup(flags.to)
    print(f"{flags.location}: copied to {flags.to}")
    return 0


def _copy(flags: argparse.Namespace) -> int:
    source, to = flags.location, flags.to
    contents = copy_store(
        source,
        to,
        _options(flags, source),
        _options(flags, to),
        audit=not flags.without_audit,
    )
    print(
        f"{to}: copied {counted(contents.count('u/'), 'user')},"
        f" {counted(contents.count('d/'), 'database')}, {counted(contents.count('k/'), 'key')},"
        f" {counted(contents.count('s/'), 'session')} and"
        f" {counted(len(contents.audit), 'audit record')} from {source}, revision"
        f" {contents.revision}"
    )
    return 0


def _restore(flags: argparse.Namespace) -> int:
    if is_url(flags.location):
        raise ValueError(
            f"{flags.location}: restore a file, then `headgate store copy` to an empty prefix"
        )
    old = restore(flags.backup, flags.location)
    previous = f"; the previous store is {old}" if old is not None else ""
    print(f"{flags.location}: restored from {flags.backup}{previous}")
    return 0


def _accept_rollback(flags: argparse.Namespace) -> int:
    revision = accept_rollback_at(flags.location, _options(flags, flags.location))
    print(f"{flags.location}: accepted at revision {revision}")
    return 0
