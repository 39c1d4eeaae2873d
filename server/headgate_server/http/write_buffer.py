"""A write buffer for connections: sends at the end of each iteration of the event loop."""

import asyncio
from weakref import WeakKeyDictionary

from headgate_server.telemetry.logging import log_internal_error


class WriteBuffer:
    """Buffers writes to transports until the end of the loop iteration. Belongs to one loop.

    Each socket write may wake the client process, which costs more than the write. With the buffer,
    the responses on many connections wake the client once. Until then, all requests that were read
    in this iteration are processed without a pause.

    Call `flush` before you close a transport or write to it without this buffer.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[asyncio.Transport, bytes]] = []
        self._flush_scheduled = False

    def delay_until_flush(self) -> None:
        """Buffers what is written from now on until `flush`, which the caller must call."""
        self._flush_scheduled = True

    def write(self, transport: asyncio.Transport, content: bytes) -> None:
        """Buffers *content*, to be sent on *transport* at the end of the loop iteration."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append((transport, content))

    def flush(self) -> None:
        """Sends the buffered content."""
        waiting, self._pending, self._flush_scheduled = self._pending, [], False
        for transport, content in waiting:
            if transport.is_closing():
                continue
            try:
                transport.write(content)
            except Exception as error:  # the other transports are unaffected
                log_internal_error(error, "")
                transport.abort()


_BUFFERS: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteBuffer] = WeakKeyDictionary()


def write_buffer() -> WriteBuffer:
    """Returns the write buffer of the running loop."""
    loop = asyncio.get_running_loop()
    found = _BUFFERS.get(loop)
    if found is None:
        found = _BUFFERS[loop] = WriteBuffer()
    return found
