"""`headgate token`: creates tokens, and validates one step by step. Needs no running server."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from headgate.flags import CommandParser, double_dashes
from headgate_engine import (
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    Rights,
    SignUpDisabled,
    SqliteStore,
    StoreError,
    Unavailable,
    User,
)
from headgate_grammar import parse_duration
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.jwt.claim_checks import CHECKS
from headgate_server.auth.jwt.claim_grants import NoRights
from headgate_server.auth.jwt.issuers import Issuers
from headgate_server.auth.jwt.jws import Parsed, TokenError, parse
from headgate_server.auth.jwt.key_source import KeysUnavailable
from headgate_server.auth.jwt.verifier import Issuer
from headgate_server.auth.shared_secret import by_shared_secret, mint, username
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving.process_title import show_command
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import configure

_SECOND = 1_000_000_000
_LONGEST_SECONDS = 365 * 86_400


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate token mint` or `check`.

    Returns 0 if a token was created, or the checked token is valid, else 1.
    """
    parser = CommandParser(prog="headgate token", description="Create a token, or check one.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    making = commands.add_parser("mint", help="create a token signed with the shared secret")
    making.add_argument("--username", required=True, metavar="NAME", help="the token's user")
    making.add_argument(
        "--exp", default="1h", metavar="DURATION", help="the token's lifetime, at most 365d; 1h"
    )
    making.add_argument(
        "--algorithm", default="HS256", choices=("HS256", "HS384", "HS512"), help="HS256"
    )
    making.add_argument(
        "--force",
        action="store_true",
        help="also for a user that is not in the store, or for longer than 365d",
    )
    making.add_argument(
        "--store", metavar="PATH", help="the server's store file, in which the user must exist"
    )
    checking = commands.add_parser("check", help="validate a token as the server does, and explain")
    checking.add_argument("token", metavar="TOKEN", help="the token; - reads standard input")
    for command in (making, checking):
        command.add_argument("--config", metavar="PATH", help="the server's configuration file")
    checking.add_argument("--store", metavar="PATH", help="the server's store file")
    show_command("token")  # a token may be among the arguments
    flags = parser.parse_args(double_dashes(arguments))
    logs.set_up("text", access=False)
    try:
        over = {"store.path": flags.store}
        settings = configure(over, os.environ, flags.config).settings
        return _mint(flags, settings) if flags.command == "mint" else _check(flags, settings)
    except ConfigurationError as error:
        return _failed(str(error))


def _failed(text: str) -> int:
    _note(text)
    return 1


def _note(text: str) -> None:
    print(f"headgate: {text}", file=sys.stderr)


def _mint(flags: argparse.Namespace, settings: Settings) -> int:
    if not settings.shared_secrets:
        return _failed("no shared-secret is configured to sign it with")
    try:
        seconds = parse_duration(flags.exp) / _SECOND
    except ValueError:
        return _failed("--exp: expected a duration such as 1h or 30m")
    if not flags.username or seconds <= 0:
        return _failed("a token needs a user and a time above 0: see --username and --exp")
    objections = [_too_long(flags.exp, seconds), _unknown_user(flags, settings)]
    for objection in filter(None, objections):
        if not flags.force:
            return _failed(f"{objection}; --force creates the token regardless")
        _note(objection)
    print(mint(flags.username, settings.shared_secret, time.time() + seconds, flags.algorithm))
    return 0


def _too_long(exp: str, seconds: float) -> str:
    """Returns an objection if the token's lifetime is more than 365 days, else ""."""
    if seconds <= _LONGEST_SECONDS:
        return ""
    return f"--exp {exp} is more than 365d, and only a new secret revokes a token"


def _unknown_user(flags: argparse.Namespace, settings: Settings) -> str:
    """Returns an objection if the token's user does not exist, else "".

    Without --store, a store that cannot be opened is only reported on standard error.
    """
    try:
        with closing(SqliteStore(settings.store_path, create=False)) as store:
            known = store.user(flags.username) is not None
    except (StoreError, Unavailable) as error:
        if flags.store is not None:
            return f"the user {flags.username!r} cannot be checked: {error}"
        # A token may be created on a machine without the server's store.
        _note(f"the user {flags.username!r} was not checked, see --store: {error}")
        return ""
    return "" if known else f"there is no user {flags.username!r} in store {settings.store_path}"


def _check(flags: argparse.Namespace, settings: Settings) -> int:
    if flags.token == "-":
        flags.token = sys.stdin.readline() if sys.stdin is not None else ""
    text = flags.token.strip(" \t\r\n")
    text = text[7:] if text[:7].lower() == "bearer " else text
    if not settings.jwt.enabled:
        if not settings.shared_secrets:
            return _failed("neither shared-secret nor [auth.jwt] is configured")
        return _check_shared(text, settings)
    if settings.jwt.header_name.lower() == "authorization":
        # Both kinds are sent in the same header; the token's own header distinguishes them.
        if settings.shared_secrets and by_shared_secret(text):
            return _check_shared(text, settings)
        return asyncio.run(_check_issued(text, settings))
    # Each kind has its own header or parameter: the token is valid if it is valid in one of them.
    worst = 1
    if settings.shared_secrets:
        _say("in", "Authorization")
        worst = _check_shared(text, settings)
    _say("in", settings.jwt.header_name or "auth_token")
    return min(worst, asyncio.run(_check_issued(text, settings)))


def _say(name: str, said: str) -> None:
    print(f"{name:14} {said}")


def _check_shared(text: str, settings: Settings) -> int:
    _say("kind", "signed with the shared secret")
    _show(text, settings.jwt.max_token_bytes)
    try:
        name = username(text, settings.shared_secrets)
    except Unauthenticated as error:
        _say("token", f"failed: {error}")
        return 1
    _say("token", "ok")
    return _with_store(settings, lambda engine: _known(engine, name))


def _known(engine: Engine, name: str) -> int:
    user = engine.user(name)
    if user is None:
        _say("user", f"failed: there is no user {name!r}")
        return 1
    _show_user(user)
    return 0


def _show(text: str, longest: int) -> Parsed | None:
    try:
        token = parse(text, longest)
    except TokenError as error:
        _say("form", f"failed: {error}")
        return None
    _say("header", _json(token.header))
    _say("claims", _json(token.claims))
    return token


def _json(value: Any) -> str:
    return json.dumps(value)


async def _check_issued(text: str, settings: Settings) -> int:
    issuers = Issuers(settings.jwt)
    try:
        token = _show(text, settings.jwt.max_token_bytes)
        if token is None:
            return 1
        try:
            issuer = issuers.issuer(token)
        except TokenError as error:
            _say("issuer", f"failed: {error}")
            return 1
        _say("issuer", issuer.settings.iss or "[auth.jwt]")
        good = [await _check_key(issuer, token), *_check_claims(issuer, token)]
        if not all(good):
            return 1
    finally:
        await issuers.close()
    return _check_rights(issuer, token, settings)


async def _check_key(issuer: Issuer, token: Parsed) -> bool:
    try:
        key = await issuer.signer(token)
    except (TokenError, KeysUnavailable) as error:
        _say("signature", f"failed: {error}")
        return False
    _say("signature", f"ok, key {_json(key.kid) if key.kid else 'without kid'}, {token.algorithm}")
    return True


def _check_claims(issuer: Issuer, token: Parsed) -> list[bool]:
    good = []
    for name, check in CHECKS.items():
        try:
            check(token.claims, issuer.settings, time.time())
        except TokenError as error:
            _say(name, f"failed: {error}")
            good.append(False)
            if name == "types":
                break  # the other checks depend on the types
        else:
            _say(name, "ok")
            good.append(True)
    return good


def _check_rights(issuer: Issuer, token: Parsed, settings: Settings) -> int:
    try:
        identity = issuer.identity(token.claims)
        rights = issuer.rights(token.claims)
    except (TokenError, NoRights) as error:
        _say("rights", f"failed: {error}")
        return 1
    return _with_store(settings, lambda engine: _come_in(engine, identity, rights, issuer.settings))


def _come_in(
    engine: Engine, identity: Identity, rights: Rights | None, settings: JwtSettings
) -> int:
    lends = settings.grant_sync == "ephemeral"
    try:
        user = engine.sign_in(
            identity,
            None if lends else rights,
            sign_up=settings.auto_sign_up,
            adopt=settings.adopt_existing,
            dry=True,
        )
    except SignUpDisabled:
        _say("user", f"failed: there is no user {identity.name!r}, and auto-sign-up is off")
        return 1
    except (IdentityTaken, IdentityDropped) as error:
        _say("user", f"failed: {error.reason}")
        return 1
    _show_user(engine.lend(user, rights) if lends and rights is not None else user)
    return 0


def _show_user(user: User) -> None:
    _say("user", user.name)
    _say("admin", str(user.admin).lower())
    _say("grants", ", ".join(f"{name} {on}" for name, on in user.grants.items() if on) or "none")


def _with_store(settings: Settings, work: Any) -> int:
    try:
        store = SqliteStore(settings.store_path, create=False)
    except StoreError as error:
        return _failed(f"{error}: users and grants were not checked")
    with closing(store):
        if store.empty():
            _say("user", "failed: there are no users yet")
            return 1
        status: int = work(Engine(store, keep_last_admin=settings.keep_last_admin))
        return status
