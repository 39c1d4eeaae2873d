"""`headgate token`: creates JSON Web Tokens, or validates a token step by step.

Needs no server.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from headgate.flags import CommandParser
from headgate.store_file import opened
from headgate_engine import (
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    SignUpDisabled,
    StoreError,
    StoreUnavailable,
    TokenRights,
    User,
)
from headgate_grammar import parse_duration
from headgate_server.auth.errors import KeysUnavailable, NoRights, Unauthenticated
from headgate_server.auth.jwt.claim_checks import CHECKS
from headgate_server.auth.jwt.issuers import IssuerRegistry
from headgate_server.auth.jwt.token_parser import ParsedToken, TokenError, parse
from headgate_server.auth.jwt.verifier import TokenVerifier
from headgate_server.auth.shared_secret import is_shared_secret_token, mint, verify_token
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving.process_title import show_command
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import configure

_NANOSECONDS_PER_SECOND = 1_000_000_000
_MAX_LIFETIME_SECONDS = 365 * 86_400


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate token`."""
    parser = CommandParser(prog="headgate token", description="Create a token, or check one.")
    commands = parser.add_commands()
    mint_parser = commands.add_parser("mint", help="create a token signed with the shared secret")
    mint_parser.add_argument("--username", required=True, metavar="NAME", help="the token's user")
    mint_parser.add_argument(
        "--exp", default="1h", metavar="DURATION", help="the token's lifetime, at most 365d; 1h"
    )
    mint_parser.add_argument(
        "--algorithm", default="HS256", choices=("HS256", "HS384", "HS512"), help="HS256"
    )
    mint_parser.add_argument(
        "--force",
        action="store_true",
        help="also for a user that is not in the store, or for longer than 365d",
    )
    mint_parser.add_argument(
        "--store", metavar="PATH", help="the server's store file, in which the user must exist"
    )
    check_parser = commands.add_parser(
        "check", help="validate a token as the server does, and explain"
    )
    check_parser.add_argument("token", metavar="TOKEN", help="the token; - reads standard input")
    for command in (mint_parser, check_parser):
        command.add_argument("--config", metavar="PATH", help="the server's configuration file")
    check_parser.add_argument("--store", metavar="PATH", help="the server's store file")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate token mint` or `check`; returns the exit status.

    `mint` returns 0 if it created a token. `check` returns 0 if the token is valid. Otherwise both
    return 1.
    """
    # A token may be among the arguments, which other users of the machine can list.
    show_command("token")
    flags = command_parser().parse(arguments)
    logs.configure("text", access=False)
    try:
        overrides = {"store.path": flags.store}
        settings = configure(overrides, os.environ, flags.config).settings
        return _mint(flags, settings) if flags.command == "mint" else _check(flags, settings)
    except ConfigurationError as error:
        return _fail(str(error))


def _fail(text: str) -> int:
    _print_error(text)
    return 1


def _print_error(text: str) -> None:
    print(f"headgate: {text}", file=sys.stderr)


def _mint(flags: argparse.Namespace, settings: Settings) -> int:
    if not settings.shared_secrets:
        return _fail("no shared-secret is configured to sign it with")
    try:
        seconds = parse_duration(flags.exp) / _NANOSECONDS_PER_SECOND
    except ValueError:
        return _fail("--exp: expected a duration such as 1h or 30m")
    if not flags.username or seconds <= 0:
        return _fail("a token needs a user and a time above 0: see --username and --exp")
    objections = [_lifetime_objection(flags.exp, seconds), _user_objection(flags, settings)]
    for objection in filter(None, objections):
        if not flags.force:
            return _fail(f"{objection}; --force creates the token regardless")
        _print_error(objection)
    now, secret = time.time(), settings.shared_secret
    print(mint(flags.username, secret, now + seconds, flags.algorithm, issued_at=now))
    return 0


def _lifetime_objection(exp: str, seconds: float) -> str:
    """Returns an objection if *seconds*, the lifetime, exceeds 365 days, else "".

    *exp* is the lifetime as given with `--exp`, for the text of the objection.
    """
    if seconds <= _MAX_LIFETIME_SECONDS:
        return ""
    return f"--exp {exp} is more than 365d, and only a new secret revokes a token"


def _user_objection(flags: argparse.Namespace, settings: Settings) -> str:
    """Returns an objection if the token's user does not exist, else "".

    If the user store cannot be opened, this is an objection only with --store. Without --store, a
    warning goes to standard error.
    """
    try:
        with opened(settings) as store:
            known = store.user(flags.username) is not None
    except (StoreError, StoreUnavailable) as error:
        if flags.store is not None:
            return f"the user {flags.username!r} cannot be checked: {error}"
        # A token may be created on a machine without the server's user store.
        _print_error(f"the user {flags.username!r} was not checked: {error}")
        return ""
    return "" if known else f"there is no user {flags.username!r} in store {settings.store_path}"


def _check(flags: argparse.Namespace, settings: Settings) -> int:
    if flags.token == "-":
        flags.token = sys.stdin.readline() if sys.stdin is not None else ""
    text = flags.token.strip(" \t\r\n")
    text = text[7:] if text[:7].lower() == "bearer " else text
    if not settings.jwt.enabled:
        if not settings.shared_secrets:
            return _fail("neither shared-secret nor [auth.jwt] is configured")
        return _check_shared(text, settings)
    if settings.jwt.header_name.lower() == "authorization":
        # Tokens of the shared secret and of other issuers share this HTTP header. The JOSE header
        # of a token tells its kind.
        if settings.shared_secrets and is_shared_secret_token(text):
            return _check_shared(text, settings)
        return asyncio.run(_check_issued(text, settings))
    # Tokens of the shared secret come in `Authorization`, tokens of other issuers elsewhere. The
    # token is valid if either place accepts the token.
    exit_status = 1
    if settings.shared_secrets:
        _print_field("in", "Authorization")
        exit_status = _check_shared(text, settings)
    _print_field("in", settings.jwt.header_name or "auth_token")
    return min(exit_status, asyncio.run(_check_issued(text, settings)))


def _print_field(name: str, value: str) -> None:
    print(f"{name:14} {value}")


def _check_shared(text: str, settings: Settings) -> int:
    _print_field("kind", "signed with the shared secret")
    _show_token(text, settings.jwt.max_token_bytes)
    try:
        name = verify_token(text, settings.shared_secrets)
    except Unauthenticated as error:
        _print_field("token", f"failed: {error}")
        return 1
    _print_field("token", "ok")
    return _with_store(settings, lambda engine: _check_user(engine, name))


def _check_user(engine: Engine, name: str) -> int:
    user = engine.user(name)
    if user is None:
        _print_field("user", f"failed: there is no user {name!r}")
        return 1
    _show_user(user)
    return 0


def _show_token(text: str, max_bytes: int) -> ParsedToken | None:
    try:
        token = parse(text, max_bytes)
    except TokenError as error:
        _print_field("form", f"failed: {error}")
        return None
    _print_field("header", _json(token.header))
    _print_field("claims", _json(token.claims))
    return token


def _json(value: Any) -> str:
    return json.dumps(value)


async def _check_issued(text: str, settings: Settings) -> int:
    issuers = IssuerRegistry(settings.jwt)
    try:
        token = _show_token(text, settings.jwt.max_token_bytes)
        if token is None:
            return 1
        try:
            issuer = issuers.verifier_for(token)
        except TokenError as error:
            _print_field("issuer", f"failed: {error}")
            return 1
        _print_field("issuer", issuer.settings.iss or "[auth.jwt]")
        results = [await _check_key(issuer, token), *_check_claims(issuer, token)]
        if not all(results):
            return 1
    finally:
        await issuers.close()
    return _check_rights(issuer, token, settings)


async def _check_key(issuer: TokenVerifier, token: ParsedToken) -> bool:
    try:
        key = await issuer.signing_key(token)
    except (TokenError, KeysUnavailable) as error:
        _print_field("signature", f"failed: {error}")
        return False
    _print_field(
        "signature", f"ok, key {_json(key.kid) if key.kid else 'without kid'}, {token.algorithm}"
    )
    return True


def _check_claims(issuer: TokenVerifier, token: ParsedToken) -> list[bool]:
    results = []
    for name, check in CHECKS.items():
        try:
            check(token.claims, issuer.settings, time.time())
        except TokenError as error:
            _print_field(name, f"failed: {error}")
            results.append(False)
            if name == "types":
                break  # the later checks need claims of the right JSON types
        else:
            _print_field(name, "ok")
            results.append(True)
    return results


def _check_rights(issuer: TokenVerifier, token: ParsedToken, settings: Settings) -> int:
    try:
        identity = issuer.identity(token.claims)
        rights = issuer.rights(token.claims)
    except (TokenError, NoRights) as error:
        _print_field("rights", f"failed: {error}")
        return 1
    return _with_store(
        settings, lambda engine: _check_provisioning(engine, identity, rights, issuer.settings)
    )


def _check_provisioning(
    engine: Engine, identity: Identity, rights: TokenRights | None, settings: JwtSettings
) -> int:
    transient = settings.grant_sync == "ephemeral"
    try:
        user = engine.provision(
            identity,
            None if transient else rights,
            sign_up=settings.auto_sign_up,
            link=settings.adopt_existing,
            dry_run=True,
        )
    except SignUpDisabled:
        _print_field("user", f"failed: there is no user {identity.name!r}, and auto-sign-up is off")
        return 1
    except (IdentityTaken, IdentityDropped) as error:
        _print_field("user", f"failed: {error.reason}")
        return 1
    _show_user(
        engine.with_transient_grants(user, rights) if transient and rights is not None else user
    )
    return 0


def _show_user(user: User) -> None:
    _print_field("user", user.name)
    _print_field("admin", str(user.admin).lower())
    _print_field(
        "grants", ", ".join(f"{name} {on}" for name, on in user.grants.items() if on) or "none"
    )


def _with_store(settings: Settings, work: Any) -> int:
    try:
        opening = opened(settings)
    except StoreError as error:
        return _fail(f"{error}: users and grants were not checked")
    with opening as store:
        try:
            if store.empty():
                _print_field("user", "failed: there are no users yet")
                return 1
            status: int = work(Engine(store, keep_last_admin=settings.keep_last_admin))
        except StoreUnavailable as error:
            return _fail(f"{error}: users and grants were not checked")
        return status
