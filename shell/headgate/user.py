"""`headgate user`: lists, adds, disables and enables users on a store file."""

import argparse
import json
from collections.abc import Sequence

from headgate.account_flags import add_store_flags, named_user, opened_engine, pages, print_list
from headgate.flags import CommandParser
from headgate.password_input import read_password
from headgate.store_file import guarded, local_address, print_line
from headgate_engine import (
    NO_PASSWORD,
    UNRESTRICTED,
    Engine,
    NewUser,
    Profile,
    StatementError,
    User,
    UserStatus,
)
from headgate_server.api.accounts.views import role_rights, user_json
from headgate_server.http.errors import BadRequest

_COLUMNS = (
    *("id", "name", "role", "grants", "hasPassword", "isDisabled", "isPending"),
    "lastSeenAt",
)
_STATUSES = {
    "disable": UserStatus.DISABLED,
    "enable": UserStatus.ACTIVE,
    "approve": UserStatus.ACTIVE,
}


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate user`."""
    parser = CommandParser(prog="headgate user", description="Users as accounts, on a store file.")
    commands = parser.add_commands()
    listing = commands.add_parser("list", help="list the users")
    listing.add_argument("--disabled", action="store_true", help="only disabled users")
    listing.add_argument("--pending", action="store_true", help="only users to be approved")
    add = commands.add_parser("add", help="create a user; reads the password")
    add.add_argument("--no-password", action="store_true", help="a service account, for API keys")
    add.add_argument("--role", help="Admin, Editor, Agent, ReadOnly or None")
    add.add_argument("--databases", metavar="A,B", help="of the role; default: all databases")
    add.add_argument("--email", default="", help="the e-mail address")
    for name, help in (
        ("show", "show a user as JSON"),
        ("disable", "end every way to log in, and all sessions"),
        ("enable", "let a disabled user log in again"),
        ("approve", "let a pending user log in"),
    ):
        commands.add_parser(name, help=help)
    commands.add_parser("link", help="let a user come in by an account at a provider")
    commands.add_parser("unlink", help="remove such an account; its sessions end")
    for command, (_, subparser) in parser.commands.items():
        if command != "list":
            subparser.add_argument("name", metavar="NAME")
        if command in ("link", "unlink"):
            subparser.add_argument("issuer", metavar="ISSUER", help="as in the provider's tokens")
        if command == "link":
            subparser.add_argument("subject", metavar="SUBJECT", help="the account's id there")
        if command == "unlink":
            subparser.add_argument("subject", metavar="SUBJECT", nargs="?", help="as in link")
        add_store_flags(subparser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate user` with one of its commands; returns the exit status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> int:
    try:
        return _run_command(flags)
    except StatementError as error:
        raise ValueError(f"user {flags.name}: {error}" if flags.name else str(error)) from None


def _run_command(flags: argparse.Namespace) -> int:
    with opened_engine(flags) as engine:
        match flags.command:
            case "list":
                _list(engine, flags)
            case "show":
                user = named_user(engine, flags.name)
                content = user_json(user, engine.accounts.profile(user))
                linked = engine.identities.of_user(user)
                content["identities"] = [
                    {"id": it.id, "issuer": it.issuer, "subject": it.subject} for it in linked
                ]
                print(json.dumps(content, indent=2))
            case "link":
                if not (flags.issuer and flags.subject):
                    raise ValueError("ISSUER and SUBJECT: expected texts that are not empty")
                user = named_user(engine, flags.name)
                engine.identities.link(
                    UNRESTRICTED, user, flags.issuer, flags.subject, local_address()
                )
                print_line(f"{flags.name} comes in as {flags.issuer} {flags.subject}")
            case "unlink":
                _unlink(engine, named_user(engine, flags.name), flags.issuer, flags.subject)
            case "add":
                _add(engine, flags)
            case command:
                user = named_user(engine, flags.name)
                if command == "approve" and user.status is not UserStatus.PENDING:
                    raise ValueError(f"{flags.name} is not pending")
                status = _STATUSES[command]
                engine.accounts.set_status(UNRESTRICTED, user, status, local_address())
                print_line(f"{flags.name} {command}d")
    return 0


def _unlink(engine: Engine, user: User, issuer: str, subject: str | None) -> None:
    found = [
        it
        for it in engine.identities.of_user(user)
        if it.issuer == issuer and subject in (None, it.subject)
    ]
    if not found:
        raise ValueError(f"{user.name} has no such identity of {issuer}: see headgate user show")
    # Sessions name their provider; without the configuration, all that came by a provider end.
    providers = {it.provider for it in engine.sessions.active(user) if it.provider}
    engine.identities.unlink(UNRESTRICTED, user, found[0].id, local_address(), providers=providers)
    print_line(f"{user.name} comes in as {issuer} no more")


def _list(engine: Engine, flags: argparse.Namespace) -> None:
    wanted = {
        status
        for status, chosen in (
            (UserStatus.DISABLED, flags.disabled),
            (UserStatus.PENDING, flags.pending),
        )
        if chosen
    }
    users = [
        user
        for user in pages(engine.store.users_with_grants)
        if not wanted or user.status in wanted
    ]
    rows = []
    for start in range(0, len(users), 1000):
        page = users[start : start + 1000]
        profiles = engine.store.profiles([user.id for user in page])
        rows += [user_json(user, profiles.get(user.id, Profile())) for user in page]
    print_list(rows, _COLUMNS, as_json=flags.json)


def _add(engine: Engine, flags: argparse.Namespace) -> None:
    admin, grants = False, {}
    if flags.databases is not None and flags.role is None:
        raise ValueError("--databases: expected --role beside it")
    if flags.role is not None:
        try:
            admin, privilege = role_rights(flags.role)
        except BadRequest as error:
            raise ValueError(f"--{error}") from None
        there = engine.databases()
        names = flags.databases.split(",") if flags.databases is not None else there
        grants = {} if admin else {name: privilege for name in names if privilege}
    hash = NO_PASSWORD if flags.no_password else engine.passwords.hash(read_password(None))
    new = NewUser(flags.name, hash, admin, grants, Profile(flags.email))
    user = engine.accounts.create(UNRESTRICTED, new, local_address())
    print_line(f"user {user.name} created with the id {user.id}")
