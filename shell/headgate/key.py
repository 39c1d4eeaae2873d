"""`headgate key`: makes, lists, rotates, revokes and checks API keys, mostly on a store file."""

import argparse
import sys
import time
from collections.abc import Sequence

from headgate.account_flags import (
    add_store_flags,
    duration_of,
    grace_of,
    key_id,
    lifetime_of,
    named_user,
    opened_engine,
    pages,
    print_list,
)
from headgate.flags import CommandParser
from headgate.store_file import guarded, local_address, print_line
from headgate_engine import (
    UNRESTRICTED,
    ApiKey,
    AuthenticationFailed,
    Engine,
    KeyNotFound,
    KeyScope,
    StatementError,
    imported_secret,
    key_fault,
    scope_text,
)
from headgate_grammar import Privilege
from headgate_server.api.accounts.views import PRIVILEGES, key_json, role_rights, time_text
from headgate_server.http.errors import BadRequest

_FAULTS = {
    "parts": "expected hgk_, 43 characters, _ and a checksum",
    "prefix": "it does not begin with hgk_",
    "characters": "a character is missing or invalid",
    "checksum": "the checksum is wrong: a character was changed or lost",
}
_COLUMNS = ("id", "user", "name", "prefix", "role", "grants", "expiresAt", "lastSeenAt")


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate key`."""
    parser = CommandParser(prog="headgate key", description="API keys of users.")
    commands = parser.add_commands()
    create = commands.add_parser("create", help="make a key, and print it")
    create.add_argument("--user", metavar="NAME", help="the owner; with --server: by default you")
    create.add_argument("--name", metavar="KEY", required=True, help="the name of the key")
    create.add_argument(
        "--grant", metavar="DB=READ", action="append", default=[], help="READ, WRITE or ALL on DB"
    )
    create.add_argument("--role", help="Admin, Editor, Agent, ReadOnly or None, on all databases")
    create.add_argument("--ttl", metavar="30d", help="the lifetime; default: for ever")
    listing = commands.add_parser("list", help="list the keys")
    listing.add_argument("--user", metavar="NAME", help="only this user's keys")
    listing.add_argument("--expired", action="store_true", help="only expired keys")
    listing.add_argument("--unused", metavar="90d", help="only keys unused for this long")
    rotate = commands.add_parser("rotate", help="give a key a new text, and print it")
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument("--grace", metavar="1h", default="1h", help="the previous text stays valid")
    revoke = commands.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id", metavar="ID")
    check = commands.add_parser("check", help="say what a key is; reads it from standard input")
    help = "the key is read from standard input"
    check.add_argument("text", metavar="-", choices=["-"], nargs="?", default="-", help=help)
    for command in (create, listing, rotate, revoke):
        command.add_argument("--server", metavar="URL", help="a running server: see headgate login")
    for command in (create, listing, rotate, revoke, check):
        add_store_flags(command)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate key create`, `list`, `rotate`, `revoke` or `check`; returns the status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> int:
    if flags.command != "check" and flags.server is not None:
        from headgate.key_on_server import run as run_on_server

        return run_on_server(flags, _COLUMNS)
    if flags.command == "create" and flags.user is None:
        raise ValueError("--user: expected the owner of the key")
    text = ""
    if flags.command == "check":
        text = sys.stdin.readline().strip()
        if not text:
            raise ValueError("there is no key on standard input")
        if fault := key_fault(text):
            raise ValueError(f"malformed key: {_FAULTS[fault]}")
        if flags.store is None and flags.config is None:
            print_line("the form of the key is valid")
            return 0
    with opened_engine(flags) as engine:
        match flags.command:
            case "create":
                _create(engine, flags)
            case "list":
                _list(engine, flags)
            case "rotate":
                grace = grace_of(flags)
                key = _found(engine, flags.id)
                rotate = engine.api_keys.rotate
                print(rotate(UNRESTRICTED, key, local_address(), grace=grace)[1])
            case "revoke":
                key = _found(engine, flags.id)
                engine.api_keys.revoke(UNRESTRICTED, key, local_address())
                print_line(f"key {key.id} {key.name} of {key.owner} revoked")
            case _:
                return _check(engine, text)
    return 0


def _create(engine: Engine, flags: argparse.Namespace) -> None:
    grants = {}
    for text in flags.grant:
        database, equals, privilege = text.rpartition("=")
        if not equals or privilege.upper() not in PRIVILEGES:
            raise ValueError("--grant: expected DB=READ, DB=WRITE or DB=ALL")
        grants[database] = PRIVILEGES[privilege.upper()]
    scope = KeyScope(False, Privilege.NONE if grants else Privilege.ALL, grants)
    if flags.role is not None:
        if grants:
            raise ValueError("--role: expected no --grant beside it")
        try:
            scope = KeyScope(*role_rights(flags.role))
        except BadRequest as error:
            raise ValueError(f"--{error}") from None
    owner = named_user(engine, flags.user)
    lifetime = lifetime_of(flags)
    create = engine.api_keys.create
    try:
        made = create(UNRESTRICTED, owner, flags.name, scope, local_address(), lifetime=lifetime)
    except StatementError as error:
        raise ValueError(f"key {flags.name} of {owner.name}: {error}") from None
    print(made[1])
    if owner.admin:
        return
    if scope.admin:
        print_line(
            f"headgate: {owner.name} is no administrator: the key has an administrator's rights"
            " only once they are one",
            sys.stderr,
        )
    for database, privilege in scope.grants.items():
        if missing := privilege & ~owner.grants.get(database, Privilege.NONE):
            print_line(
                f"headgate: {owner.name} has no {Privilege(missing)} on {database}: the key has it"
                " only once they have it",
                sys.stderr,
            )


def _found(engine: Engine, id: str) -> ApiKey:
    """Returns the key *id*. Raises ValueError if there is none, or it was revoked."""
    try:
        return engine.api_keys.find(id)
    except KeyNotFound:
        raise ValueError(f"key {key_id(id)} not found; see headgate key list") from None


def _list(engine: Engine, flags: argparse.Namespace) -> None:
    owner = named_user(engine, flags.user) if flags.user is not None else None
    now, unused = time.time(), duration_of("--unused", flags.unused) if flags.unused else 0
    keys = [
        key
        for key in pages(lambda after: engine.api_keys.keys(after, owner=owner))
        if (not flags.expired or 0 < key.expires_at <= now)
        and (not unused or now - max(key.created_at, key.last_seen_at) >= unused)
    ]
    print_list([key_json(key) for key in keys], _COLUMNS, as_json=flags.json)


def _check(engine: Engine, text: str) -> int:
    """Prints what the store knows of the key *text*. Returns 1 if the key is not accepted.

    For an imported key that was never used, this is the first use.
    """
    try:
        if (shown := imported_secret(text)) is not None:
            engine.imported_keys.settle(shown)
        principal = engine.api_keys.authenticate(text)
    except AuthenticationFailed as error:
        print_line(f"headgate: {error}", sys.stderr)
        return 1
    key, user = principal.key, principal.user
    assert key is not None
    assert user is not None
    which = "the previous text of key" if key.is_shown_by_previous else "key"
    print_line(f"{which} {key.id} {key.name} of {key.owner}: {scope_text(key.scope)}")
    ends = [key.expires_at] if key.expires_at else []
    ends += [key.previous_until] if key.is_shown_by_previous else []
    print_line(f"valid until: {time_text(min(ends, default=0)) or 'for ever'}")
    grants = ", ".join(f"{it} ON {on}" for on, it in user.grants.items())
    print_line(f"rights now: {'ALL PRIVILEGES' if user.admin else grants or 'none'}")
    return 0
