"""Passes bytes between a connection to a directory and a socket of this machine.

libldap can connect only by itself. It connects to this socket, which is in a folder that only this
process may read, and never waits for a network.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from urllib.parse import quote

from headgate_server.auth.ldap.transport import Streams

_CHUNK_BYTES = 65_536
_MAX_BYTES = 64_000_000  # of all responses on one connection: a user in 100,000 groups has 10 MB
_SOCKET_NAME = "s"


@contextlib.asynccontextmanager
async def relayed(directory: Streams) -> AsyncIterator[str]:
    """Yields the `ldapi` URL of a socket that is connected to *directory*.

    The socket accepts one connection. Closes *directory* at the end. Raises OSError if the socket
    cannot be made.
    """
    async with contextlib.AsyncExitStack() as undo:
        undo.push_async_callback(_end, directory[1])
        folder = tempfile.mkdtemp(prefix="headgate-")  # its mode is 0700
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        undo.callback(os.close, descriptor)
        # A path of a socket has at most 107 bytes, and bonsai changes the URL to lower case. This
        # path to the folder is short and in lower case, wherever the folder is.
        path = f"/proc/self/fd/{descriptor}/{_SOCKET_NAME}"
        listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.setblocking(False)
        listener.bind(path)
        listener.listen(1)
        passing = asyncio.ensure_future(_accept_and_pass(listener, directory))
        try:
            yield f"ldapi://{quote(path, safe='')}"
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)


async def _accept_and_pass(listener: socket.socket, directory: Streams) -> None:
    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    try:
        local = await asyncio.open_unix_connection(sock=accepted)
    except BaseException:
        accepted.close()
        raise
    passing = [
        asyncio.ensure_future(_pass(local[0], directory[1])),
        asyncio.ensure_future(_pass(directory[0], local[1])),
    ]
    try:
        # When one side ends its direction, the other side has to end, too.
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # First what needs no waiting: a second cancellation may end the waiting.
        local[1].transport.abort()
        for one in passing:
            one.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await _end(local[1])


async def _end(writer: asyncio.StreamWriter) -> None:
    """Ends the connection of *writer* now, without the handshake that ends TLS.

    A silent directory would let that handshake take 30 s.
    """
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes until *reader* ends, an error occurs, or there are too many."""
    count = 0
    while count < _MAX_BYTES and (chunk := await reader.read(_CHUNK_BYTES)):
        count += len(chunk)
        writer.write(chunk)
        await writer.drain()
