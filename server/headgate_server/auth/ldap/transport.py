"""Connects to a directory: TCP, then TLS at once (LDAPS) or after a request (STARTTLS).

libldap connects and makes its TLS handshake in the calling thread, without a time limit: with
OpenLDAP 2.5 and bonsai 1.5.5, a directory that sends nothing stopped the event loop. So asyncio
does both here, with Python's own TLS.
"""

import asyncio
import functools
import os
import socket
import ssl

from headgate_server.config.ldap import LdapServerSettings

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# An ExtendedRequest (RFC 4511, section 4.12) with message id 1 and the name of StartTLS,
# 1.3.6.1.4.1.1466.20037 (section 4.14.1).
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
_SEQUENCE, _EXTENDED_RESPONSE = 0x30, 0x78
_MAX_RESPONSE_BYTES = 4096
_RESULT_START = b"\x02\x01\x01"  # the message id 1
_SUCCESS = b"\x0a\x01\x00"  # the result code 0 (RFC 4511, appendix A)


class Unreachable(Exception):
    """The directory cannot be reached at this host, for the reason in the text."""


def tls_context(server: LdapServerSettings) -> ssl.SSLContext:
    """Returns the TLS context for the directory *server*: TLS 1.2 or newer, verified.

    A changed file is read again. Raises OSError, also as ssl.SSLError, if a file of the settings is
    unusable.
    """
    files = (server.root_ca_cert, server.client_cert, server.client_key)
    return _context(*files, tuple(os.stat(file).st_mtime_ns for file in files if file))


# The system's authorities take 20 ms to read.
@functools.lru_cache(maxsize=16)
def _context(
    authority: str, certificate: str, key: str, modified: tuple[int, ...]
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        # Without a password, OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(certificate, key or None, password="")
    return context


async def connect(server: LdapServerSettings, host: str) -> Streams:
    """Returns a connection to *host* of *server*, encrypted as the settings say.

    Takes at most `timeout`. Raises Unreachable.
    """
    try:
        async with asyncio.timeout(server.timeout):
            return await _connect(server, host)
    except TimeoutError:
        raise Unreachable(f"{host}: no connection within {server.timeout:g} s") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
        raise Unreachable(f"{host}: {reason or type(error).__name__}") from None


async def _connect(server: LdapServerSettings, host: str) -> Streams:
    if not server.start_tls:
        context = tls_context(server) if server.use_ssl else None
        return await asyncio.open_connection(host, server.actual_port, ssl=context)
    connection = await _open_socket(host, server.actual_port)
    try:
        await _request_tls(connection, host)
        return await asyncio.open_connection(
            sock=connection, ssl=tls_context(server), server_hostname=host
        )
    except BaseException:
        connection.close()
        raise


async def _open_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that is connected to the first address of *host* that accepts."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionError("it has no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
            return connection
        except OSError as error:
            failure = error
            connection.close()
        except BaseException:
            connection.close()
            raise
    raise failure


async def _request_tls(connection: socket.socket, host: str) -> None:
    """Sends the request for STARTTLS and reads the response, to its last byte and no further.

    Bytes that follow the response stay in the socket, where the TLS handshake rejects them. So
    nothing that was sent without TLS is taken for a later response. Raises Unreachable if the
    directory does not agree.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, _START_TLS)
    head = await _receive(connection, 2)
    length = head[1]
    if length & 0x80:  # the long form (X.690, section 8.1.3.5)
        length = int.from_bytes(await _receive(connection, length & 0x7F))
    if head[0] != _SEQUENCE or not len(_RESULT_START) + 5 <= length <= _MAX_RESPONSE_BYTES:
        raise Unreachable(f"{host}: the response to STARTTLS is invalid")
    body = await _receive(connection, length)
    if not body.startswith(_RESULT_START) or body[3] != _EXTENDED_RESPONSE:
        raise Unreachable(f"{host}: the response to STARTTLS is invalid")
    start = 5 + (body[4] & 0x7F if body[4] & 0x80 else 0)
    if body[start : start + 3] != _SUCCESS:
        raise Unreachable(f"{host}: it refused STARTTLS")


async def _receive(connection: socket.socket, count: int) -> bytes:
    """Returns the next *count* bytes. Raises ConnectionError if the connection ends before."""
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < count:
        some = await loop.sock_recv(connection, count - len(received))
        if not some:
            raise ConnectionResetError(0, "it closed the connection")
        received += some
    return received
