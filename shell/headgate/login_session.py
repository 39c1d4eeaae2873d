"""`headgate session`: lists and ends sessions on a store file."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from headgate.account_flags import add_store_flags, named_user, opened_engine, print_list
from headgate.flags import CommandParser
from headgate.store_file import counted, guarded, local_address, print_line
from headgate_engine import UNRESTRICTED, Engine
from headgate_server.api.accounts.views import session_json
from headgate_server.config.values import seconds

_COLUMNS = ("id", "user", "method", "client_ip", "created_at", "seen_at", "expires_at")


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate session`."""
    parser = CommandParser(
        prog="headgate session", description="Sessions of signed-in people, on a store file."
    )
    commands = parser.add_commands()
    listing = commands.add_parser("list", help="list the active sessions")
    listing.add_argument("--user", metavar="NAME", help="only this user's sessions")
    revoke = commands.add_parser("revoke", help="end a session")
    revoke.add_argument("id", metavar="ID")
    revoke_user = commands.add_parser("revoke-user", help="end all sessions of a user")
    revoke_user.add_argument("name", metavar="NAME")
    prune = commands.add_parser("prune", help="delete ended sessions from the store")
    prune.add_argument("--revoked-older", metavar="24h", default="24h", help="default: 24h")
    for command in (listing, revoke, revoke_user, prune):
        add_store_flags(command)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate session list`, `revoke`, `revoke-user` or `prune`; returns the status."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> int:
    with opened_engine(flags) as engine:
        match flags.command:
            case "list":
                _list(engine, flags)
            case "revoke":
                found = next((it for it in engine.sessions.active() if it.id == flags.id), None)
                if found is None:
                    raise ValueError(f"session not found: {flags.id}")
                user = named_user(engine, found.user)
                engine.sessions.revoke(UNRESTRICTED, user, found.id, "admin", local_address())
                print_line(f"session {found.id} of {found.user} ended")
            case "revoke-user":
                user = named_user(engine, flags.name)
                revoke_all = engine.sessions.revoke_all
                count = revoke_all(UNRESTRICTED, [user], "admin", local_address())
                print_line(f"{counted(count, 'session')} of {flags.name} ended")
            case _:
                pruned = engine.sessions.prune(int(seconds(flags.revoked_older)))
                if flags.json:
                    print(json.dumps(asdict(pruned)))
                else:
                    print_line(
                        f"deleted {counted(pruned.expired, 'expired session')} and"
                        f" {pruned.revoked} revoked; {pruned.remaining_revoked} revoked stay"
                    )
    return 0


def _list(engine: Engine, flags: argparse.Namespace) -> None:
    user = named_user(engine, flags.user) if flags.user is not None else None
    sessions = engine.sessions
    now = sessions.now()
    rows = [session_json(it, sessions.limits, now) for it in sessions.active(user)]
    print_list(rows, _COLUMNS, as_json=flags.json)
