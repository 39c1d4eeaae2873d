"""A connection to a directory. The only file that knows bonsai: it translates its exceptions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

import bonsai  # pyright: ignore[reportMissingImports]
from bonsai.ldapconnection import (  # pyright: ignore[reportMissingImports]
    BaseLDAPConnection,
    LDAPSearchScope,
)

from headgate_server.auth.ldap.entry import FoundEntry
from headgate_server.auth.ldap.relay import relayed
from headgate_server.auth.ldap.transport import Unreachable, connect
from headgate_server.config.ldap import LdapServerSettings

_BINARY_ATTRIBUTES = ["objectGUID"]
_BUSY, _UNAVAILABLE = 51, 52  # result codes of RFC 4511, appendix A
_INVALID_CREDENTIALS = 49
# Before it sends a request, libldap works in steps that no socket announces.
_LONGEST_WAIT_SECONDS = 0.01
_Result = TypeVar("_Result")


class InvalidCredentials(Exception):
    """The directory rejected the bind because of the password or the distinguished name."""


class DirectoryError(Exception):
    """The directory rejected a request, for the reason in the text."""


class TooManyEntries(DirectoryError):
    """A search found more entries than its limit, or than the directory permits."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host}: a search found too many entries")


class _NoSuchObject(DirectoryError):
    """The entry that a request names does not exist (result code 32)."""


class _AsyncConnection(BaseLDAPConnection):  # type: ignore[misc,unused-ignore]
    """Waits for results in the event loop.

    bonsai's own class for asyncio waits until the socket can be written, which it always can, and
    so uses a whole CPU until the directory responds. When a task is cancelled, it leaves the socket
    in the event loop.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client, is_async=True)

    # bonsai's signature.
    async def _evaluate(self, msg_id: int, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout):
            while (result := self.get_result(msg_id)) is None:
                readable, descriptor = asyncio.Event(), self.fileno()
                loop.add_reader(descriptor, readable.set)
                try:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(readable.wait(), _LONGEST_WAIT_SECONDS)
                finally:
                    loop.remove_reader(descriptor)
        return result


class LdapConnection:
    """A bound connection to one host of a directory."""

    def __init__(self, bound: Any, timeout: float, host: str) -> None:
        self._bound = bound
        self._timeout = timeout
        self._host = host

    async def search(
        self,
        base: str,
        pattern: str,
        attributes: Sequence[str],
        *,
        subtree: bool = True,
        limit: int = 0,
    ) -> list[FoundEntry]:
        """Returns the entries at or below *base* that match the filter *pattern*.

        Each has the *attributes*. If *subtree* is False, only the entry *base* is searched. If
        there are more than *limit* entries, returns at least *limit* of them; 0: no limit. A *base*
        that does not exist has no entries. Raises Unreachable or DirectoryError.
        """
        scope = LDAPSearchScope.SUBTREE if subtree else LDAPSearchScope.BASE
        try:
            found = await _translated(
                self._host,
                self._bound.search(
                    base, scope, pattern, list(attributes), self._timeout, sizelimit=limit
                ),
            )
        except _NoSuchObject:
            return []
        return [_found_entry(one) for one in found]


def _found_entry(entry: Any) -> FoundEntry:
    attributes = {
        name.lower(): tuple(bytes(it) if isinstance(it, bytearray) else it for it in values)
        for name, values in entry.items()
        if name.lower() != "dn"
    }
    return FoundEntry(str(entry.dn), attributes)


@contextlib.asynccontextmanager
async def bound_connection(
    server: LdapServerSettings, host: str, dn: str, password: str
) -> AsyncIterator[LdapConnection]:
    """Yields a connection to *host* that is bound as *dn*; as anonymous, if *dn* is "".

    Connecting and binding take at most `timeout` each. Raises Unreachable, InvalidCredentials or
    DirectoryError. *password* must not be empty: many directories accept every distinguished name
    with an empty password (RFC 4513, section 5.1.2).
    """
    assert bool(dn) == bool(password)
    directory = await connect(server, host)
    async with relayed(directory) as url:
        client = bonsai.LDAPClient(url)
        client.set_raw_attributes(_BINARY_ATTRIBUTES)
        client.set_async_connection_class(_AsyncConnection)
        if dn:
            client.set_credentials("SIMPLE", dn, password)
        bound = await _translated(host, client.connect(is_async=True, timeout=server.timeout))
        try:
            yield LdapConnection(bound, server.timeout, host)
        finally:
            bound.close()


async def _translated(host: str, request: Awaitable[_Result]) -> _Result:
    """Returns the result of *request*, with the exceptions of this package for those of bonsai.

    The text of an exception has the code of its cause, never a text of the directory, which may
    repeat a part of the request.
    """
    try:
        return await request
    except bonsai.AuthenticationError as error:
        if error.code != _INVALID_CREDENTIALS:
            raise DirectoryError(f"{host}: {_description(error)}") from None
        raise InvalidCredentials from None
    except bonsai.errors.SizeLimitError:
        raise TooManyEntries(host) from None
    except bonsai.errors.NoSuchObjectError as error:
        raise _NoSuchObject(f"{host}: {_description(error)}") from None
    except (TimeoutError, bonsai.TimeoutError):
        raise Unreachable(f"{host}: no response in time") from None
    except (bonsai.ConnectionError, bonsai.errors.ClosedConnection):
        raise Unreachable(f"{host}: the connection ended") from None
    except SystemError:
        # bonsai raises it for a response of another kind than that of the request.
        raise Unreachable(f"{host}: the response is invalid") from None
    except bonsai.LDAPError as error:
        kind = Unreachable if error.code in (_BUSY, _UNAVAILABLE) else DirectoryError
        raise kind(f"{host}: {_description(error)}") from None


def _description(error: Any) -> str:
    return f"{type(error).__name__} (LDAP result code {error.code})"
