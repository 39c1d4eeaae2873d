"""A write buffer: what is written in one iteration of the event loop is sent at its end."""

import asyncio
from weakref import WeakKeyDictionary

from headgate_server.telemetry.logging import report


class Outbox:
    """Buffers writes to transports until the end of the loop iteration. Belongs to one loop.

    Each socket write may wake the client process, which costs more than the write. With the buffer,
    the responses on many connections wake it once. The requests that were read meanwhile are
    processed without a pause.

    Call `flush` before another way of writing to a transport, and before closing one.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, content: bytes) -> None:
        """Sends *content* after all data that is ready to be read has been read."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((transport, content))

    def flush(self) -> None:
        """Sends the buffered content."""
        waiting, self._waiting = self._waiting, []
        for transport, content in waiting:
            if transport.is_closing():
                continue
            try:
                transport.write(content)
            except Exception as error:  # the other transports are unaffected
                report(error, "")
                transport.abort()


_ALL: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox() -> Outbox:
    """Returns the write buffer of the running loop."""
    loop = asyncio.get_running_loop()
    found = _ALL.get(loop)
    if found is None:
        found = _ALL[loop] = Outbox()
    return found


class Outgoing(asyncio.Transport):
    """A transport that writes to *transport* through the buffer."""

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        super().__init__()
        self._transport, self._outbox = transport, outbox

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Adds *data* to the buffer."""
        self._outbox.put(self._transport, bytes(data))

    def is_closing(self) -> bool:
        """Returns whether the transport is closing."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Sends the buffered content, and closes the transport."""
        self._outbox.flush()
        self._transport.close()
