"""Verifies passwords of users by the directories in `[auth.ldap]`, and reads their entries."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from headgate_server.auth.errors import DirectoryUnavailable
from headgate_server.auth.ldap.connection import (
    DirectoryError,
    InvalidCredentials,
    LdapConnection,
    TooManyEntries,
    bound_connection,
)
from headgate_server.auth.ldap.credential_limits import may_be_sent
from headgate_server.auth.ldap.dn import escaped_value
from headgate_server.auth.ldap.entry import (
    FoundEntry,
    LdapEntry,
    MissingAttribute,
    entry_of,
    subject_filter,
    wanted_attributes,
)
from headgate_server.auth.ldap.filters import filled_filter
from headgate_server.auth.ldap.group_rights import is_allowed
from headgate_server.auth.ldap.transport import Unreachable
from headgate_server.config.ldap import NAME_MARK, LdapServerSettings, LdapSettings
from headgate_server.telemetry.logging import log_error

_MAX_CONNECTIONS = 20
_ANY_ENTRY = "(objectClass=*)"
_NO_ATTRIBUTES = ("1.1",)  # RFC 4511, section 4.5.1.8: only distinguished names
_Result = TypeVar("_Result")


Timer = Callable[[str], contextlib.AbstractContextManager[object]]


def _report_nothing(step: str) -> None:
    """Ignores *step*."""


def _time_nothing(step: str) -> contextlib.AbstractContextManager[object]:
    """Returns a context that ignores *step*."""
    return contextlib.nullcontext()


class LdapDirectory:
    """The directories of *settings*, in their order. For one event loop.

    The next directory is used only if one cannot be reached. At most 20 connections exist at a
    time, one for each call. *report* is called with a sentence for each step, for tests of the
    settings; it never contains a password. *timer* returns the context that times a step: `search`
    and `groups`, each with the login of the service account, and `bind`, the user's own login.
    """

    def __init__(
        self,
        settings: LdapSettings,
        report: Callable[[str], None] = _report_nothing,
        timer: Timer = _time_nothing,
    ) -> None:
        self._settings = settings
        self._report, self._timer = report, timer
        self._slots = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._closed = False

    async def find(self, name: str, password: str) -> LdapEntry | None:
        """Returns the user with *name*, if their password is *password*.

        Returns None if the login failed, for whatever reason: the caller answers as for a wrong
        password. Names and passwords that `may_be_sent` rejects fail without a connection. Raises
        DirectoryUnavailable.
        """
        if not may_be_sent(name, password):
            self._report("refused: the password is empty, or name or password is not acceptable")
            return None

        async def attempt(server: LdapServerSettings, host: str) -> LdapEntry | None:
            return await self._find_at(server, host, name, password)

        return await self._first_reachable(self._settings.servers, attempt)

    async def look_up(self, server_name: str, dn: str) -> LdapEntry | None:
        """Returns the user with the distinguished name *dn* now, read by the service account.

        *server_name* is the `server` of the user's LdapEntry. Returns None if the entry is gone, or
        is in none of `allowed-groups`. The groups of the result are None if only the user can read
        them. Raises DirectoryUnavailable, also if the directory has no service account.
        """
        return await self._look_up(server_name, dn)

    async def look_up_subject(self, server_name: str, subject: str) -> LdapEntry | None:
        """Returns the user that is identified by *subject* now. Otherwise as `look_up`."""
        return await self._look_up(server_name, "", subject)

    async def _look_up(self, server_name: str, dn: str, subject: str = "") -> LdapEntry | None:
        """Returns the user of *dn*, or of *subject*, read by the service account."""
        servers = [one for one in self._settings.servers if one.name == server_name]

        async def attempt(server: LdapServerSettings, host: str) -> LdapEntry | None:
            if server.binds_directly:
                raise DirectoryError(f"{host}: bind-dn is no service account")
            async with self._search_connection(server, host) as connection:
                attributes = wanted_attributes(server)
                wanted = subject_filter(subject, server) if subject else ""
                if wanted:
                    found: Sequence[FoundEntry] = ()
                    for base in server.search_base_dns:
                        found = found or await connection.search(base, wanted, attributes)
                else:
                    where = dn or subject
                    found = await connection.search(where, _ANY_ENTRY, attributes, subtree=False)
                if not found:
                    return None
                if server.groups_as == "user":
                    return entry_of(found[0], server, None)
                groups = await _groups(connection, server, found[0])
            return entry_of(found[0], server, groups) if is_allowed(groups, server) else None

        return await self._first_reachable(servers, attempt)

    def close(self) -> None:
        """Makes all later calls raise DirectoryUnavailable. Each call closes its connection."""
        self._closed = True

    async def _first_reachable(
        self,
        servers: Iterable[LdapServerSettings],
        attempt: Callable[[LdapServerSettings, str], Awaitable[_Result]],
    ) -> _Result:
        """Returns the result of *attempt* with the first of *servers* and hosts that is reachable.

        Raises DirectoryUnavailable.
        """
        reasons: list[str] = []
        for server in servers:
            for host in server.hosts:
                async with self._slot(server):
                    try:
                        return await attempt(server, host)
                    except Unreachable as error:
                        reasons.append(str(error))
                        self._report(f"unreachable: {error}")
                    except (DirectoryError, MissingAttribute, OSError) as error:
                        raise DirectoryUnavailable(str(error)) from None
        raise DirectoryUnavailable("; ".join(reasons) or "no server of this name is set")

    @contextlib.asynccontextmanager
    async def _slot(self, server: LdapServerSettings) -> AsyncIterator[None]:
        """Waits until a further connection is allowed. Raises DirectoryUnavailable."""
        if self._closed:
            raise DirectoryUnavailable("this process is stopping")
        try:
            async with asyncio.timeout(server.timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise DirectoryUnavailable(f"{_MAX_CONNECTIONS} connections are in use") from None
        try:
            yield
        finally:
            self._slots.release()

    async def _find_at(
        self, server: LdapServerSettings, host: str, name: str, password: str
    ) -> LdapEntry | None:
        try:
            with self._timer("search"):
                async with self._search_connection(server, host, name, password) as connection:
                    found = await self._search_user(connection, server, name)
        except InvalidCredentials:
            self._report("failed: the directory rejects the name and the password")
            return None
        if found is None:
            await _bind_in_vain(server, host)
            return None
        as_user = server.groups_as == "user" or server.binds_directly
        groups: Sequence[str] = ()
        try:
            with self._timer("bind"):
                async with bound_connection(server, host, found.dn, password) as connection:
                    self._report(f"bound as {found.dn}: the password is right")
                    if as_user:
                        groups = await _groups_as_user(connection, server, found)
        except InvalidCredentials:
            self._report(f"failed: the directory rejects the password of {found.dn}")
            return None
        if not as_user and server.group_search_filter:
            with self._timer("groups"):
                async with self._search_connection(server, host) as connection:
                    groups = await _groups(connection, server, found)
        elif not as_user:
            groups = found.values(server.attributes.member_of)
        self._report(f"groups: {', '.join(groups) or 'none'}")
        if not is_allowed(groups, server):
            self._report("failed: the user is in none of allowed-groups")
            return None
        return entry_of(found, server, groups)

    @contextlib.asynccontextmanager
    async def _search_connection(
        self, server: LdapServerSettings, host: str, name: str = "", password: str = ""
    ) -> AsyncIterator[LdapConnection]:
        """Yields a connection for searches: as the service account, as anonymous, or as the user.

        *name* and *password* are those of the user. Raises InvalidCredentials only if these are
        used, else DirectoryError.
        """
        direct = server.binds_directly
        dn, secret = (
            (_direct_name(server.bind_dn, name), password)
            if direct
            else (server.bind_dn, server.bind_password)
        )
        account = dn or "anonymous"
        encryption = "LDAPS" if server.use_ssl else "STARTTLS" if server.start_tls else "no TLS"
        self._report(f"connecting to {host}:{server.actual_port} with {encryption}, as {account}")
        async with contextlib.AsyncExitStack() as stack:
            try:
                bound = bound_connection(server, host, dn, secret)
                connection = await stack.enter_async_context(bound)
            except InvalidCredentials:
                if direct:
                    raise
                raise DirectoryError(f"{host}: the password of bind-dn is rejected") from None
            self._report(f"bound as {account}")
            yield connection

    async def _search_user(
        self, connection: LdapConnection, server: LdapServerSettings, name: str
    ) -> FoundEntry | None:
        """Returns the only entry of *name*; None, and logs it, if there are several."""
        pattern = filled_filter(server.search_filter, name)
        entries: list[FoundEntry] = []
        try:
            for base in server.search_base_dns:
                entries += await connection.search(
                    base, pattern, wanted_attributes(server), limit=2
                )
        except TooManyEntries as error:
            log_error(f"LDAP: {error}")
            self._report(f"failed: several entries match {pattern}")
            return None
        distinct = {entry.dn: entry for entry in entries}
        if len(distinct) > 1:
            log_error(f"LDAP: {server.name}: several entries of one user name")
        if len(distinct) != 1:
            self._report(f"failed: {len(distinct)} entries match {pattern}")
            return None
        (found,) = distinct.values()
        self._report(f"found {found.dn} by {pattern}")
        return found


def _direct_name(pattern: str, name: str) -> str:
    """Returns the name for the bind as the user: *pattern* with *name* in it.

    *pattern* is a distinguished name, or another form such as Active Directory's `%s@example.org`.
    """
    is_dn = "=" in pattern
    return pattern.replace(NAME_MARK, escaped_value(name) if is_dn else name)


async def _bind_in_vain(server: LdapServerSettings, host: str) -> None:
    """Binds as an entry that does not exist, so that an unknown name takes as long as a known one.

    The password is random, too. Raises Unreachable.
    """
    dn = ",".join(filter(None, (f"cn={secrets.token_hex(8)}", server.search_base_dns[0])))
    with contextlib.suppress(InvalidCredentials, DirectoryError):
        async with bound_connection(server, host, dn, secrets.token_hex(8)):
            pass  # no directory accepts it


async def _groups(
    connection: LdapConnection, server: LdapServerSettings, user: FoundEntry
) -> Sequence[str]:
    """Returns the distinguished names of the groups of *user*."""
    if not server.group_search_filter:
        return user.values(server.attributes.member_of)
    attribute = server.group_search_filter_user_attribute or server.attributes.username
    value = user.dn if attribute.lower() == "dn" else user.single(attribute)
    if not value:
        return ()
    pattern = filled_filter(server.group_search_filter, value)
    found: dict[str, None] = {}
    for base in server.group_search_base_dns or server.search_base_dns:
        for group in await connection.search(base, pattern, _NO_ATTRIBUTES):
            found[group.dn] = None
    return list(found)


async def _groups_as_user(
    connection: LdapConnection, server: LdapServerSettings, user: FoundEntry
) -> Sequence[str]:
    """Returns the groups of *user*, as they are visible on *connection*, which the user bound."""
    if server.group_search_filter:
        return await _groups(connection, server, user)
    attributes = [server.attributes.member_of]
    own = await connection.search(user.dn, _ANY_ENTRY, attributes, subtree=False)
    return await _groups(connection, server, own[0]) if own else ()
