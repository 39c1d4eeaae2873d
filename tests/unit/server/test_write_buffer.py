"""WriteBuffer: bytes written in one iteration of the event loop are sent together at its end."""

import asyncio

from headgate_server.http.write_buffer import write_buffer


class Line(asyncio.Transport):
    """A transport that records the written bytes. If *broken* is set, writing fails."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.broken, self.sent, self.closed = broken, b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.broken:
            raise RuntimeError("it cannot be written to")
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


def test_it_goes_out_in_order_at_the_end_of_the_turn() -> None:
    async def turn() -> Line:
        line = Line()
        for content in (b"a", b"b", b"c"):
            write_buffer().write(line, content)
        assert line.sent == b""
        await asyncio.sleep(0)
        return line

    assert asyncio.run(turn()).sent == b"abc"


def test_a_flush_sends_all_before_the_connection_is_closed() -> None:
    async def turn() -> Line:
        line = Line()
        write_buffer().write(line, b"all")
        write_buffer().flush()
        line.close()
        write_buffer().write(line, b"too late")
        await asyncio.sleep(0)
        return line

    assert asyncio.run(turn()).sent == b"all"


def test_one_that_cannot_be_written_to_takes_nothing_from_the_others() -> None:
    async def turn() -> list[Line]:
        lines = [Line(), Line(broken=True), Line()]
        for line in lines:
            write_buffer().write(line, b"answer")
        await asyncio.sleep(0)
        return lines

    first, broken, last = asyncio.run(turn())
    assert (first.sent, last.sent, broken.closed) == (b"answer", b"answer", True)
