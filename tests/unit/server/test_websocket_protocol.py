"""A WebSocket's connection, on a transport that is never written."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from headgate_server.serving.server_state import ServerState
from headgate_server.serving.websocket_protocol import WebSocketConnection, is_handshake
from headgate_server.telemetry.metrics import Metrics

HEAD = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"


class StuckTransport(asyncio.Transport):
    """A transport whose peer receives nothing: closing it takes for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = self.aborted = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


def test_a_client_that_receives_nothing_holds_no_closing_connection() -> None:
    async def run() -> None:
        connection = WebSocketConnection(PlainTextResponse(), Metrics(), ServerState())
        transport = StuckTransport()
        connection.connection_made(transport)
        for now in (0.0, 1000.0):
            connection.check_deadlines(now)
        transport.close()
        connection.check_deadlines(1001.0)
        assert not transport.aborted
        connection.check_deadlines(1011.0)
        assert transport.aborted

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "usable"),
    [
        (b"", True),
        (b"content-length: 0\r\n", True),
        (b"x: " + b"x" * 5_000 + b"\r\n", True),
        (b"content-length: 1\r\n", False),
        (b"transfer-encoding: chunked\r\n", False),
        (b"x: " + b"x" * 10_000 + b"\r\n", False),
        (b"x: x\r\n" * 150, False),
    ],
)
def test_a_head_with_a_body_or_too_much_opens_no_websocket(fields: bytes, usable: bool) -> None:
    assert is_handshake(HEAD + fields + b"\r\n") == usable
