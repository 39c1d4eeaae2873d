"""`headgate import influxdb`: takes users, grants and databases from `meta.db` or from a server."""

import argparse
import csv
import io
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.import_pyroscope import add_pyroscope, import_pyroscope
from headgate.influxdb_server import read_server
from headgate.meta_db import InvalidMetaFile, MetaData, MetaDatabase, MetaUser, parse_meta
from headgate.password_input import read_password
from headgate.server_url import is_url
from headgate.store_file import (
    counted,
    guarded,
    local_address,
    opened,
    opened_or_empty,
    print_line,
    write_private,
)
from headgate_engine import (
    DeclaredDatabase,
    DeclaredState,
    DeclaredUser,
    RetentionPolicy,
    StatementError,
    Store,
    apply_changes,
    check_database,
    check_user,
    plan_changes,
)
from headgate_grammar import Privilege
from headgate_server import build_engine

_HIGHEST_PRIVILEGE = 3
# Of the random passwords: 24 characters.
_PASSWORD_BYTES = 18


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate import`."""
    parser = CommandParser(
        prog="headgate import",
        description="Take users, their passwords and grants, and databases from another program.",
    )
    kinds = parser.add_commands("kind", "KIND")
    command = kinds.add_parser(
        "influxdb", help="from InfluxDB 1.x: its file meta.db, or a running server"
    )
    add = command.add_argument
    add("path", metavar="SOURCE", help="meta.db, a copy of it, or a URL: http://HOST:8086")
    add("--store", metavar="PATH", help="the store file; created if missing")
    add("--config", metavar="PATH", help="the server's configuration: its store")
    add("--dry-run", action="store_true", help="list the changes; make none")
    add("--username", metavar="NAME", default="", help="of a URL: an administrator there")
    add("--password-file", metavar="FILE", help="of a URL: the first line is the password")
    add(
        "--new-passwords",
        metavar="FILE",
        help="of a URL: a new file for the random passwords of the users; a server shows no hashes",
    )
    add_pyroscope(kinds)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate import influxdb SOURCE` or `pyroscope FILE`; returns the exit status.

    The status is 1 if a user could not be taken, and none is taken if the file is invalid.
    """
    flags = command_parser().parse(arguments)
    run = _import if flags.kind == "influxdb" else import_pyroscope
    return guarded(lambda: run(flags))


@dataclass(slots=True)
class _Import:
    """What is taken of a `meta.db`, and a line of text for each part that is left out."""

    databases: list[DeclaredDatabase] = field(default_factory=list)
    users: list[DeclaredUser] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    refused_users: int = 0


def _import(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    if is_url(flags.path):
        password = read_password(flags.password_file) if flags.username else ""
        data = read_server(flags.path, flags.username, password)
    else:
        data = _read_file(flags.path)
    address = local_address()
    with opened_or_empty(settings) as planned_on:
        taken = _select(data, planned_on)
        engine = build_engine(planned_on, settings)
        plan = plan_changes(engine, DeclaredState(taken.databases, taken.users))
        apply_changes(engine, plan, address=address, dry_run=True)
    if not flags.dry_run:
        _write_passwords(flags.new_passwords, taken.users)
        with opened(settings, create=True) as store:
            apply_changes(build_engine(store, settings), plan, address=address)
    for change in plan:
        print_line(str(change.statement))
    for line in taken.left_out:
        print_line(f"left out: {line}", sys.stderr)
    verb = "would be made" if flags.dry_run else "made"
    changes = counted(len(plan), "change")
    print_line(f"{settings.store_path}: {changes} {verb}, {len(taken.left_out)} left out")
    return 1 if taken.refused_users else 0


def _read_file(path: str) -> MetaData:
    """Returns the content of the `meta.db` at *path*. Raises ValueError."""
    try:
        return parse_meta(Path(path).read_bytes())
    except InvalidMetaFile as error:
        raise ValueError(f"{path} is no meta.db of InfluxDB 1.x: {error}") from None
    except OSError as error:
        is_server = ":" in path or path == "localhost"
        hint = f"; a server is http://{path}" if is_server and "/" not in path else ""
        raise ValueError(f"{path}: {os.strerror(error.errno or 0)}{hint}") from None


def _write_passwords(path: str | None, users: Sequence[DeclaredUser]) -> None:
    """Writes the names and the random passwords of *users* to the new file *path*, as CSV.

    Raises ValueError if there are such passwords and no *path*, and if the file exists.
    """
    pairs = [(user.name, user.password) for user in users if user.password is not None]
    if pairs and path is None:
        raise ValueError(
            "a server shows no passwords, so each user gets a random one:"
            " name a new file for them with --new-passwords FILE"
        )
    if pairs and path is not None:
        text = io.StringIO()
        csv.writer(text).writerows([("user", "password"), *pairs])
        write_private(path, text.getvalue().encode())


def _select(data: MetaData, store: Store) -> _Import:
    """Returns what *store* can take of *data*. Existing users and databases stay as they are."""
    taken = _Import()
    for database in data.databases:
        taken.left_out += _take_database(database, store, taken)
    known = {one.name for one in taken.databases} | {one.name for one in store.databases()}
    for user in data.users:
        if store.user(user.name) is not None:
            taken.left_out.append(f"user {user.name}: exists already and stays as it is")
            continue
        try:
            check_user(DeclaredUser(user.name, hash=user.hash or None))
        except StatementError as error:
            taken.refused_users += 1
            taken.left_out.append(f"user {user.name}: {error}")
            continue
        taken.left_out += _take_user(user, known, taken)
    return taken


def _take_database(database: MetaDatabase, store: Store, taken: _Import) -> Iterator[str]:
    """Adds *database* to *taken*. Yields a text for each part that is left out."""
    name = database.name
    if database.continuous_queries:
        yield f"continuous queries on {name}: InfluxDB keeps its {database.continuous_queries}"
    if store.database(name) is not None:
        return
    try:
        check_database(DeclaredDatabase(name))
    except StatementError as error:
        yield f"database {name}: {error}"
        return
    policies: dict[str, RetentionPolicy] = {}
    for one in database.policies:
        policy = RetentionPolicy(one.name, one.duration, one.replication, one.shard_duration)
        try:
            check_database(DeclaredDatabase(name, policy))
            policies[one.name] = policy
        except StatementError as error:
            yield f"retention policy {one.name} on {name}: {error}"
    default = policies.get(database.default)
    if default is None:
        yield f"the default retention policy of {name}: it is autogen in Headgate"
    taken.databases.append(DeclaredDatabase(name, default, list(policies.values())))


def _take_user(user: MetaUser, known: set[str], taken: _Import) -> Iterator[str]:
    """Adds *user* to *taken*. Yields a text for each grant that is left out."""
    grants = {}
    for database, privilege in user.privileges.items():
        if database not in known:
            yield f"grant on {database} to {user.name}: the database does not exist"
        elif privilege > _HIGHEST_PRIVILEGE:
            yield f"grant on {database} to {user.name}: unknown privilege {privilege}"
        else:
            grants[database] = Privilege(privilege)
    password = None if user.hash else secrets.token_urlsafe(_PASSWORD_BYTES)
    taken.users.append(
        DeclaredUser(user.name, password, user.hash or None, admin=user.admin, grants=grants)
    )
