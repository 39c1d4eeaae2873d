"""A directory with some users and groups, and the settings to use it. Needs Debian's slapd."""

import asyncio
import importlib.util
import os
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

import pytest
import trustme

from headgate_server.auth.errors import DirectoryUnavailable
from headgate_server.auth.ldap.entry import LdapEntry
from headgate_server.config.ldap import LdapSettings
from headgate_server.config.ldap_reader import read_ldap_settings
from support.slapd import PEOPLE, SERVICE, SERVICE_PASSWORD, SLAPD, Slapd

needs_bonsai = pytest.mark.skipif(
    importlib.util.find_spec("bonsai") is None and not os.environ.get("CI"),
    reason="bonsai is not installed",
)
needs_slapd = pytest.mark.skipif(
    (SLAPD is None or importlib.util.find_spec("bonsai") is None) and not os.environ.get("CI"),
    reason="slapd and bonsai are not installed",
)
_Result = TypeVar("_Result")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def slapd(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory with ann in the groups dev and ops, and bob in none."""
    with Slapd(tmp_path_factory.mktemp("ldap") / "slapd", authority) as directory:
        ann = directory.add_user("ann", "ann-secret", givenName="Ann", mail="ann@example.org")
        directory.add_user("bob", "bob-secret")
        directory.add_group("dev", ann)
        directory.add_group("ops", ann)
        yield directory


def one_server(port: int, **options: Any) -> dict[str, Any]:
    """Returns a table `[[auth.ldap.servers]]` for the directory on *port*, with *options*."""
    return {
        "name": "corp",
        "host": "127.0.0.1",
        "port": port,
        "bind_dn": SERVICE,
        "bind_password": SERVICE_PASSWORD,
        "search_base_dns": [PEOPLE],
    } | options


def ldap_settings(*servers: dict[str, Any]) -> LdapSettings:
    """Returns the settings with the tables *servers*."""
    return read_ldap_settings({"enabled": True, "servers": list(servers)}, [])


async def login(name: str, password: str, *servers: dict[str, Any]) -> LdapEntry | None:
    """Returns what the directories *servers* say of a login."""
    from headgate_server.auth.ldap.directory import LdapDirectory

    directory = LdapDirectory(ldap_settings(*servers))
    try:
        return await directory.find(name, password)
    finally:
        directory.close()


def find(name: str, password: str, *servers: dict[str, Any]) -> LdapEntry | None:
    return asyncio.run(login(name, password, *servers))


def unavailable(name: str, password: str, *servers: dict[str, Any]) -> str:
    """Returns the reason for the log why a login is not possible now."""
    with pytest.raises(DirectoryUnavailable) as raised:
        find(name, password, *servers)
    assert str(raised.value) == "the directory is not available, try again"
    assert password not in raised.value.log_message
    return raised.value.reason


async def ticks_during(work: Awaitable[_Result]) -> tuple[int, _Result]:
    """Awaits *work*; returns how often the event loop ran another task meanwhile, and its result.

    The other task sleeps for 1 ms at a time.
    """
    task = asyncio.ensure_future(work)
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.001)
        ticks += 1
    return ticks, task.result()
