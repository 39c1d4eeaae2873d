"""`headgate apply`: makes a user store match a file of users, grants and databases."""

import argparse
import json
from collections.abc import Sequence
from http import HTTPStatus

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.password_input import read_password
from headgate.saved_sessions import saved_session
from headgate.server_url import connection_to
from headgate.state_file import read_state, state_tables
from headgate.store_file import (
    counted,
    guarded,
    local_address,
    opened,
    opened_or_empty,
    print_line,
)
from headgate_engine import (
    DeclaredState,
    StatementError,
    apply_changes,
    check_no_drops,
    plan_changes,
)
from headgate_server import Settings, build_engine
from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.backends.http import HttpBackend

# The exit status of `--dry-run` if there are changes to make.
_WOULD_CHANGE = 2


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate apply`."""
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
    add("--url", metavar="URL", help="a running Headgate instead of a store: http://HOST:8086")
    add("--username", metavar="NAME", default="", help="of --url: an administrator there")
    add("--password-file", metavar="FILE", help="of --url: the first line is the password")
    add("--dry-run", action="store_true", help="only list the changes; status 2 if there are any")
    add(
        "--prune", action="store_true", help="drop other users and databases than those of the file"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate apply FILE`; returns the exit status: with --dry-run 2 for needed changes."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _apply(flags))


def _apply(flags: argparse.Namespace) -> int:
    if flags.url is None and (flags.username or flags.password_file):
        raise ValueError("--username and --password-file need --url")
    if flags.url is not None and (flags.store or flags.config):
        raise ValueError("--url: expected no --store and no --config beside it")
    state = read_state(flags.path)
    if flags.url is not None:
        place, changes = flags.url, _apply_to_server(flags, state)
    else:
        settings = load_settings(flags.config, store=flags.store)
        place, changes = settings.store_path, _apply_to_file(flags, state, settings)
    for change in changes:
        print_line(change)
    verb = "would be made" if flags.dry_run else "made"
    print_line(f"{place}: {counted(len(changes), 'change')} {verb}")
    return _WOULD_CHANGE if flags.dry_run and changes else 0


def _apply_to_file(
    flags: argparse.Namespace, state: DeclaredState, settings: Settings
) -> Sequence[str]:
    """Makes the store file match *state*. Returns the changes as statements."""
    address = local_address()
    with opened_or_empty(settings) as planned_on:
        engine = build_engine(planned_on, settings)
        try:
            plan = plan_changes(engine, state, prune=flags.prune)
            if settings.gateway.upstreams:
                check_no_drops(plan)
            # A dry run finds what only the transaction can find, such as the last administrator.
            apply_changes(engine, plan, address=address, dry_run=True)
        except StatementError as error:
            raise ValueError(f"{flags.path}: {error}") from None
    if not flags.dry_run:
        with opened(settings, create=True) as store:
            apply_changes(build_engine(store, settings), plan, address=address)
    return [str(change.statement) for change in plan]


def _apply_to_server(flags: argparse.Namespace, state: DeclaredState) -> Sequence[str]:
    """Makes the users of a running Headgate match *state*. Returns the changes as statements."""
    password = read_password(flags.password_file) if flags.username else ""
    connection = connection_to(flags.url, flags.username, password)
    if not flags.username:
        connection = connection._replace(session=saved_session(connection.session_url))
    parameters = f"dry_run={str(flags.dry_run).lower()}&prune={str(flags.prune).lower()}"
    body = json.dumps(state_tables(state)).encode()
    try:
        status, content = HttpBackend().post_json(connection, f"/api/apply?{parameters}", body)
    except ConnectionFailed as error:
        raise ValueError(str(error)) from None
    if status == HTTPStatus.OK and isinstance(content, dict) and "changes" in content:
        return [str(change) for change in content["changes"]]
    if isinstance(content, dict) and "error" in content:
        asks = status == HTTPStatus.UNAUTHORIZED and not flags.username
        hint = ": name an administrator with --username, or see headgate login" if asks else ""
        raise ValueError(f"{flags.url}: {content['error']}{hint}")
    raise ValueError(f"{flags.url}: the response is not that of a Headgate: status {status}")
