"""`headgate export`: writes users, grants and databases in the form of another program."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from headgate.flags import CommandParser
from headgate.meta_db import (
    InvalidMetaFile,
    MetaData,
    MetaDatabase,
    MetaPolicy,
    MetaUser,
    encode_meta,
    parse_meta,
)
from headgate.state_file import format_state
from headgate.store_file import accounts, counted, guarded, opened_at, print_line, write_private
from headgate_engine import DeclaredDatabase, DeclaredState, DeclaredUser, Store


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate export`."""
    parser = CommandParser(
        prog="headgate export",
        description="Write users, their password hashes and grants, and databases to a new file.",
    )
    kinds = parser.add_commands("kind", "KIND")
    command = kinds.add_parser("influxdb", help="a meta.db with which InfluxDB 1.x starts")
    command.add_argument("path", metavar="STORE", help="the store file")
    command.add_argument("to", metavar="META_DB", help="must not exist")
    command.add_argument(
        "--base",
        metavar="META_DB",
        help="the meta.db of a stopped influxd: the new file keeps its databases and shards",
    )
    command = kinds.add_parser(
        "config", help="a file for `headgate apply`: TOML, or YAML by its name"
    )
    command.add_argument("path", metavar="STORE", help="the store file")
    command.add_argument("to", metavar="FILE", help="must not exist")
    command.add_argument(
        "--without-passwords", action="store_true", help="leave out the password hashes"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate export influxdb` or `headgate export config`; returns the exit status."""
    flags = command_parser().parse(arguments)
    work = _export_influxdb if flags.kind == "influxdb" else _export_config
    return guarded(lambda: work(flags))


def _export_influxdb(flags: argparse.Namespace) -> int:
    with opened_at(flags.path) as store:
        data = _read(store)
    try:
        base = Path(flags.base).read_bytes() if flags.base is not None else None
        content = encode_meta(data, base)
        kept = parse_meta(base).databases if base is not None else data.databases
    except InvalidMetaFile as error:
        raise ValueError(f"{flags.base} is no meta.db of InfluxDB 1.x: {error}") from None
    except OSError as error:
        raise ValueError(f"{flags.base}: {os.strerror(error.errno or 0)}") from None
    write_private(flags.to, content)
    known = {database.name for database in kept}
    for database in data.databases:
        if database.name not in known:
            print_line(f"{flags.base} lacks the database {database.name}: it is new", sys.stderr)
    numbers = counted(len(data.users), "user"), counted(len(data.databases), "database")
    print_line(f"{flags.to}: {', '.join(numbers)}")
    return 0


def _export_config(flags: argparse.Namespace) -> int:
    with opened_at(flags.path) as store:
        databases = [
            DeclaredDatabase(one.name, one.policy(one.default_policy), one.policies)
            for one in store.databases()
        ]
        users = [
            DeclaredUser(
                user.name,
                hash=None if flags.without_passwords else user.hash,
                admin=user.admin,
                grants=user.grants,
            )
            for account in accounts(store)
            if (user := store.user(account.name)) is not None
        ]
    write_private(flags.to, format_state(DeclaredState(databases, users), flags.to).encode())
    numbers = counted(len(users), "user"), counted(len(databases), "database")
    print_line(f"{flags.to}: {', '.join(numbers)}")
    return 0


def _read(store: Store) -> MetaData:
    databases = [
        MetaDatabase(
            database.name,
            database.default_policy,
            [
                MetaPolicy(one.name, one.duration, one.shard_duration, one.replication)
                for one in database.policies
            ],
        )
        for database in store.databases()
    ]
    users = []
    for account in accounts(store):
        user = store.user(account.name)
        if user is not None:  # it may have been dropped meanwhile
            grants = {name: int(privilege) for name, privilege in user.grants.items()}
            users.append(MetaUser(user.name, user.hash, user.admin, grants))
    return MetaData(databases, users)
