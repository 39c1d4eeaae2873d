"""Flow control of one connection: pauses reading from it, and waits until it can be written to."""

import asyncio


class FlowControl:
    """Pauses and resumes reading from *transport* and writing to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._waiters: list[asyncio.Future[None]] = []

    def pause_reading(self) -> None:
        """Stops reading: more has been received than the application has taken."""
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Continues reading from the transport after `pause_reading`."""
        if self.read_paused:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Makes `drain` wait: the write buffer is full."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Ends the wait of `drain`."""
        self.write_paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def drain(self) -> None:
        """Waits while writing is paused."""
        while self.write_paused:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
