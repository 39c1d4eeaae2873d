"""`headgate ldap sync`: gives users the rights that they have in their directory now."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from headgate.configured_engine import load_settings
from headgate.store_file import local_address, opened, print_line
from headgate_engine import UNRESTRICTED, AuthenticationFailed, Engine, User, UserStatus
from headgate_server import build_engine
from headgate_server.auth.directory_login import DirectoryLogin
from headgate_server.auth.errors import DirectoryUnavailable
from headgate_server.config.ldap import LDAP_SECTION


def sync_users(flags: argparse.Namespace) -> int:
    """Returns 0 if all users are in their directories, else 1.

    Raises ValueError if a directory is not available; the users before it are done.
    """
    settings = load_settings(flags.config, store=flags.store)
    if not settings.ldap.enabled:
        raise ValueError(f"{flags.config}: [{LDAP_SECTION}] enabled: expected true")
    with opened(settings) as store:
        engine = build_engine(store, settings)
        try:
            return asyncio.run(
                _sync(engine, DirectoryLogin(engine, settings, _run), flags.disable_missing)
            )
        except DirectoryUnavailable as error:
            raise ValueError(error.log_message) from None


async def _run(work: Callable[[], Any]) -> Any:
    return work()


async def _sync(engine: Engine, login: DirectoryLogin, disable_missing: bool) -> int:
    status = 0
    try:
        for issuer in sorted(login.issuers):
            for user in _users(engine, issuer):
                for identity in engine.identities.of_user(user):
                    if identity.issuer != issuer:
                        continue
                    try:
                        there = await login.sync(issuer, identity.subject)
                    except AuthenticationFailed:
                        continue  # disabled already
                    if not there and user.is_active:
                        status = 1
                        _report_missing(engine, user, disable=disable_missing)
    finally:
        login.close()
    return status


def _report_missing(engine: Engine, user: User, *, disable: bool) -> None:
    done = ""
    if disable:
        engine.accounts.set_status(UNRESTRICTED, user, UserStatus.DISABLED, local_address())
        done = ": disabled"
    print_line(f"{user.name} is gone from the directory, or in no allowed group{done}")


def _users(engine: Engine, issuer: str) -> list[User]:
    """Returns all users with an identity of *issuer*."""
    found: list[User] = []
    while page := engine.store.users_of_issuer(issuer, found[-1].id if found else ""):
        found += page
    return found
