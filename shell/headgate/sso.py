"""`headgate sso`: tries the settings of a provider without a server, and shows what claims give."""

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headgate.configured_engine import load_settings
from headgate.flags import CommandParser
from headgate.store_file import guarded, opened, print_line
from headgate_engine import (
    AuthenticationFailed,
    IdentityTaken,
    SignUpDisabled,
    TokenRights,
)
from headgate_server import Settings, build_engine
from headgate_server.auth.oauth.account_reader import AccountReader
from headgate_server.auth.oauth.errors import SignInRefused
from headgate_server.auth.oauth.provider import OAuthProvider
from headgate_server.auth.oauth.sign_in import ProviderSignIn
from headgate_server.auth.sealing import Sealer

_FAILED = 1


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate sso`."""
    parser = CommandParser(prog="headgate sso", description="Use the providers of sign-ins.")
    commands = parser.add_commands()
    check = commands.add_parser("check", help="fetch the documents of a provider, and print them")
    check.add_argument("name", metavar="NAME", help="the provider in [auth.oauth.NAME]")
    check.add_argument(
        "--config", metavar="PATH", required=True, help="the server's configuration file"
    )
    check.add_argument(
        "--claims", metavar="FILE", help="JSON of claims: print the user and the rights they give"
    )
    check.add_argument("--store", metavar="PATH", help="the store file; default: of --config")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate sso check`; returns 0 if the provider can be used, else 1."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _check(flags))


def _check(flags: argparse.Namespace) -> int:
    settings = load_settings(flags.config, store=flags.store)
    found = next((one for one in settings.oauth if one.name == flags.name), None)
    if found is None:
        known = ", ".join(one.name for one in settings.oauth) or "none"
        raise ValueError(f"{flags.name}: no such provider; those in {flags.config}: {known}")
    callback = f"{settings.base_url.rstrip('/')}/login/{found.name}/callback"
    provider = OAuthProvider(found, callback)
    if flags.claims is not None:
        return _show_claims(provider, settings, _claims(flags.claims))
    return asyncio.run(_show_provider(provider, settings))


async def _show_provider(provider: OAuthProvider, settings: Settings) -> int:
    options = provider.settings
    try:
        endpoints = await provider.endpoints()
        if options.is_openid:
            verifier = await provider.verifier()
            keys = await verifier.key_count()
            print_line(f"keys that can verify ID tokens: {keys}")
    except SignInRefused as error:
        place = options.issuer or options.auth_url
        raise ValueError(f"{options.name}, {place}: cannot be used: {error.reason}") from None
    finally:
        await provider.close()
    for what, url in (
        ("authorization endpoint", endpoints.authorization),
        ("token endpoint", endpoints.token),
        ("user information", endpoints.user_info),
        ("sign-out", endpoints.end_session),
        ("device authorization", endpoints.device_authorization),
    ):
        print_line(f"{what}: {url or 'none'}")
    style = "in the body" if endpoints.secret_in_body else "in the header Authorization"
    print_line(f"the client shows its secret: {style if options.client_secret else 'it has none'}")
    print_line(f"register as callback: {provider.redirect_url}")
    if options.is_openid:
        base = settings.base_url.rstrip("/")
        print_line(f"register for sign-outs: {base}/login/{options.name}/backchannel-logout")
    return 0


def _claims(path: str) -> Mapping[str, Any]:
    try:
        claims = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path}: no JSON") from None
    if not isinstance(claims, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return claims


def _show_claims(provider: OAuthProvider, settings: Settings, claims: Mapping[str, Any]) -> int:
    """Prints the user and the rights that *claims* would give. Changes nothing."""
    with opened(settings) as store:
        engine = build_engine(store, settings)
        sign_in = ProviderSignIn(provider, settings, engine, Sealer(""), _never)
        try:
            account = AccountReader(provider).account_of_claims(claims)
            rights = sign_in.rights(account)
            identity = sign_in.identity(account)
            user = engine.provision(identity, rights, policy=sign_in.policy, dry_run=True)
            missing = sorted(set(rights.grants if rights else ()) - set(engine.databases()))
        except SignInRefused as error:
            print_line(f"refused: {error.log_message}")
            return _FAILED
        except (SignUpDisabled, IdentityTaken, AuthenticationFailed) as error:
            print_line(f"refused: {getattr(error, 'reason', '') or 'sign-up is disabled'}")
            return _FAILED
    print_line(f"identity: {identity.issuer}, {identity.subject}")
    print_line(f"user: {user.name}{', an administrator' if user.admin else ''}")
    verified = "" if account.email_verified or not account.email else " (unverified)"
    print_line(f"e-mail: {account.email or 'none'}{verified}")
    for line in _lines(rights, user.grants):
        print_line(line)
    for database in missing:
        print_line(f"no rights on {database}: {settings.store_path} has no such database")
    return 0


async def _never(work: object) -> None:
    raise AssertionError("nothing is written")


def _lines(rights: TokenRights | None, grants: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each grant."""
    if rights is None:
        yield "rights: the claims change none"
    elif not any(grants.values()) and not rights.admin:
        yield "rights: none"
    for database, privilege in grants.items():
        if privilege:
            yield f"{privilege}: {database}"
