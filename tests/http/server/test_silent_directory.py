"""Logins by directories that stay silent or misbehave, and logins that reach no directory."""

import asyncio
import gc
import os
from typing import Any

import pytest

from headgate_server.auth.errors import DirectoryUnavailable
from support.ldap_fixtures import ldap_settings, login, needs_bonsai, one_server, ticks_during
from support.slapd import PEOPLE, SilentServer

pytestmark = needs_bonsai

# The response to StartTLS with result code 0, as slapd sends it.
AGREES_TO_TLS = bytes.fromhex("300c02010178070a010004000400")
# A successful response to a bind with message id 1.
FORGED_BIND = bytes.fromhex("300c02010161070a010004000400")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        AGREES_TO_TLS,
        AGREES_TO_TLS + FORGED_BIND,
        FORGED_BIND,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x00",
    ],
)
def test_nothing_follows_a_request_for_starttls_but_tls(response: bytes) -> None:
    async def run() -> bytes:
        async with SilentServer(response) as silent:
            server = one_server(silent.port, start_tls=True, timeout="300ms")
            with pytest.raises(DirectoryUnavailable):
                await login("ann", "ann-secret", server)
            return silent.received

    received = asyncio.run(run())
    assert b"1.3.6.1.4.1.1466.20037" in received
    assert b"service-secret" not in received and b"ann-secret" not in received


@pytest.mark.parametrize("encryption", [{}, {"use_ssl": True}])
def test_a_meaningless_response_is_a_fault_of_the_directory(encryption: dict[str, Any]) -> None:
    async def run() -> None:
        async with SilentServer(AGREES_TO_TLS) as other:
            await login("ann", "ann-secret", one_server(other.port, timeout=5, **encryption))

    with pytest.raises(DirectoryUnavailable):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("encryption", "response"),
    [
        ({}, b""),
        ({"use_ssl": True}, b""),
        ({"start_tls": True}, b""),
        ({"start_tls": True}, AGREES_TO_TLS),
    ],
)
def test_a_silent_directory_leaves_the_event_loop_free(
    encryption: dict[str, Any], response: bytes
) -> None:
    async def run() -> int:
        async with SilentServer(response) as silent:
            server = one_server(silent.port, timeout=1, **encryption)

            async def attempt() -> None:
                with pytest.raises(DirectoryUnavailable):
                    await login("ann", "ann-secret", server)

            ticks, _ = await ticks_during(attempt())
            return ticks

    # A free event loop ticks some hundred times in the second of the time limit.
    assert asyncio.run(run()) > 50


@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", ""), ("", "secret"), ("ann", "a\0"), ("a\0", "b"), ("a", "b" * 1025)],
)
@pytest.mark.parametrize("bind_dn", ["", f"uid=%s,{PEOPLE}"])
def test_credentials_that_prove_nothing_are_never_sent(
    name: str, password: str, bind_dn: str
) -> None:
    async def run() -> int:
        async with SilentServer() as silent:
            server = one_server(silent.port, bind_dn=bind_dn, bind_password="")
            assert await login(name, password, server) is None
            return silent.connections

    assert asyncio.run(run()) == 0


@pytest.mark.slow
def test_at_most_twenty_connections_exist_at_a_time() -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> int:
        async with SilentServer() as silent:
            directory = LdapDirectory(ldap_settings(one_server(silent.port, timeout=30)))
            logins = [asyncio.ensure_future(directory.find("ann", "secret")) for _ in range(30)]
            async with asyncio.timeout(20):
                while silent.connections < 20 or not silent.received:
                    await asyncio.sleep(0)
            for _ in range(1000):  # a further connection would be made meanwhile
                await asyncio.sleep(0)
            for one in logins:
                one.cancel()
            await asyncio.gather(*logins, return_exceptions=True)
            return silent.connections

    assert asyncio.run(run()) == 20


@pytest.mark.slow
@pytest.mark.parametrize("cancelled", [True, False])
def test_a_login_that_ends_early_leaves_no_socket_open(cancelled: bool) -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> None:
        async with SilentServer() as silent:
            server = one_server(silent.port, timeout="30s" if cancelled else "100ms")
            directory = LdapDirectory(ldap_settings(server))
            for steps in range(0, 60, 6):
                logins = [asyncio.ensure_future(directory.find("a", "b")) for _ in range(5)]
                for _ in range(steps if cancelled else 0):
                    await asyncio.sleep(0)
                for one in logins if cancelled else []:
                    one.cancel()
                await asyncio.gather(*logins, return_exceptions=True)
            async with asyncio.timeout(20):
                while silent.open:
                    await asyncio.sleep(0)

    asyncio.run(run())  # what is made once is made now
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.slow
def test_a_login_that_waits_too_long_for_a_connection_is_refused() -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> set[str]:
        async with SilentServer() as silent:
            servers = (one_server(silent.port, timeout="300ms"),)
            directory = LdapDirectory(ldap_settings(*servers))
            logins = [directory.find("ann", "secret") for _ in range(30)]
            found = await asyncio.gather(*logins, return_exceptions=True)
            assert {type(one) for one in found} == {DirectoryUnavailable}
            return {str(one) for one in found}

    assert asyncio.run(run()) == {"the directory is not available, try again"}


def test_after_closing_no_login_is_possible() -> None:
    from headgate_server.auth.ldap.directory import LdapDirectory

    async def run() -> None:
        directory = LdapDirectory(ldap_settings(one_server(1)))
        directory.close()
        await directory.find("ann", "ann-secret")

    with pytest.raises(DirectoryUnavailable):
        asyncio.run(run())
