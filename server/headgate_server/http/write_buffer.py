"""What is written in one turn of the loop, sent together at its end."""

import asyncio
from weakref import WeakKeyDictionary

from headgate_server.telemetry.logging import report


class Outbox:
    """Waking the one who reads costs more than sending. So he is woken once, for all that many
    connections have for him, and what was read meanwhile is worked on without a pause.

    Of one loop. Who writes to a transport in another way, or closes it, has to `flush` before.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, content: bytes) -> None:
        """*content* goes out when what was ready to be read has been read."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((transport, content))

    def flush(self) -> None:
        """Sends what is waiting."""
        waiting, self._waiting = self._waiting, []
        for transport, content in waiting:
            if transport.is_closing():
                continue
            try:
                transport.write(content)
            except Exception as error:  # the others' answers are no worse for it
                report(error, "")
                transport.abort()


_ALL: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox() -> Outbox:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    found = _ALL.get(loop)
    if found is None:
        found = _ALL[loop] = Outbox()
    return found


class Outgoing(asyncio.Transport):
    """*transport* for who only writes to it: by the outbox."""

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        super().__init__()
        self._transport, self._outbox = transport, outbox

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._outbox.put(self._transport, bytes(data))

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._outbox.flush()
        self._transport.close()
