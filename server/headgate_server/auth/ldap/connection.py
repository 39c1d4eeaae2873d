"""A connection to a directory. The only file that knows bonsai: it translates its exceptions."""

import asyncio
import contextlib
import math
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
_MAX_STEPS = 100  # of a bind after the connection has ended; it takes about five
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
        self._pending: int | None = None  # the request without a result

    def _evaluate(self, msg_id: int, timeout: float | None = None) -> Awaitable[Any]:
        self._pending = msg_id
        return self._result(msg_id, math.inf if timeout is None else timeout)

    async def _result(self, msg_id: int, seconds: float) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (result := self.get_result(msg_id)) is None:
            if loop.time() >= deadline:
                raise TimeoutError
            await _wait_until_readable(self.fileno())
        self._pending = None
        return result

    def release(self) -> None:
        """Frees the connection. Call it after the other side of the socket has ended.

        `close` does nothing while a bind is pending, and bonsai then keeps the socket and the
        password for ever. So the result is fetched here: an error, because the other side has
        ended.
        """
        with contextlib.suppress(bonsai.LDAPError):
            self.close()
        with contextlib.suppress(bonsai.LDAPError, SystemError):
            for _ in range(_MAX_STEPS):
                if self._pending is None or self.get_result(self._pending) is not None:
                    break


async def _wait_until_readable(descriptor: int) -> None:
    """Waits until *descriptor* can be read, for 10 ms at most.

    asyncio.wait_for of Python 3.11 may lose a cancellation that comes with the result, and a login
    would then wait for ever. asyncio.wait does not.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    waiting = asyncio.ensure_future(readable.wait())
    loop.add_reader(descriptor, readable.set)
    try:
        await asyncio.wait([waiting], timeout=_LONGEST_WAIT_SECONDS)
    finally:
        loop.remove_reader(descriptor)
        waiting.cancel()


class LdapConnection:
    """A bound connection to one host of a directory."""

    def __init__(self, bound: _AsyncConnection, timeout: float, host: str) -> None:
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
    with contextlib.ExitStack() as after_the_relay:
        async with relayed(directory) as url:
            client = bonsai.LDAPClient(url)
            client.set_raw_attributes(_BINARY_ATTRIBUTES)
            if dn:
                client.set_credentials("SIMPLE", dn, password)
            connection = _AsyncConnection(client)
            after_the_relay.callback(connection.release)
            await _translated(host, connection.open(server.timeout))
            yield LdapConnection(connection, server.timeout, host)


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
