"""`headgate ldap`: tries the login of a user in a directory, step by step. Needs no server."""

import argparse
import asyncio
from collections.abc import Iterator, Sequence

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.password_input import read_current_password
from headgate.store_file import guarded, print_line
from headgate_engine import TokenRights
from headgate_server.auth.errors import DirectoryUnavailable
from headgate_server.auth.ldap.group_rights import group_rights
from headgate_server.config.ldap import LDAP_SECTION, LdapSettings

_FAILED = 1


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate ldap`."""
    parser = CommandParser(prog="headgate ldap", description="Use the directories of users.")
    commands = parser.add_commands()
    check = commands.add_parser(
        "check",
        help="verify a password as the server does, and print each step and the user's rights",
    )
    check.add_argument("--user", metavar="NAME", required=True, help="the name in the directory")
    check.add_argument(
        "--config", metavar="PATH", required=True, help="the server's configuration file"
    )
    sync = commands.add_parser(
        "sync", help="give all users that came by a directory their rights there, on a store file"
    )
    sync.add_argument(
        "--config", metavar="PATH", required=True, help="the server's configuration file"
    )
    sync.add_argument("--store", metavar="PATH", help="the store file; default: of --config")
    sync.add_argument(
        "--disable-missing", action="store_true", help="disable users that are gone there"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate ldap check` or `sync`; returns 0 if the login or each user is fine, else 1."""
    flags = command_parser().parse(arguments)
    if flags.command == "sync":
        from headgate.ldap_sync import sync_users

        return guarded(lambda: sync_users(flags))
    return guarded(lambda: _check(flags))


def _check(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config).ldap
    if not settings.enabled:
        raise ValueError(f"{flags.config}: [{LDAP_SECTION}] enabled: expected true")
    return asyncio.run(_find(settings, flags.user, read_current_password(flags.user)))


async def _find(settings: LdapSettings, name: str, password: str) -> int:
    # Imported on demand: only here its library is known to be installed.
    from headgate_server.auth.ldap.directory import LdapDirectory

    directory = LdapDirectory(settings, print_line)
    try:
        entry = await directory.find(name, password)
    except DirectoryUnavailable as error:
        raise ValueError(error.log_message) from None
    finally:
        directory.close()
    if entry is None:
        print_line("the login fails: the client receives the response of a wrong password")
        return _FAILED
    print_line(f"identity: ldap:{entry.server}, {entry.subject}")
    print_line(f"user name: {entry.username}")
    print_line(f"full name: {entry.full_name or 'none'}; e-mail: {entry.email or 'none'}")
    server = settings.server_named(entry.server)
    rights = group_rights(entry.groups, server, synced=settings.grant_sync != "off")
    for line in _lines(rights):
        print_line(line)
    return 0


def _lines(rights: TokenRights | None) -> Iterator[str]:
    """Yields a line for each right."""
    if rights is None:
        yield "rights: the login changes none"
        return
    if rights.admin is not None:
        yield f"administrator: {'yes' if rights.admin else 'no'}"
    granted = [(f"database {name}", privilege) for name, privilege in rights.grants.items()]
    granted.append(("every database", rights.all_databases))
    found = [f"{privilege.name}: {place}" for place, privilege in granted if privilege]
    yield from found or ["no privilege on any database"]
