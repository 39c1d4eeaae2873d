"""Loki's tail through the gateway: a store that answers it, and clients."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.gateway_fixtures import ANN
from support.servers import Server

PATH = "/loki/api/v1/tail?query=%7Bapp%3D%22x%22%7D"


@asynccontextmanager
async def querier(port: int, heard: list[ServerConnection]) -> AsyncIterator[WebSocketServer]:
    """An upstream store that sends `{"n": 1}`, then echoes each message, and closes on `stop`."""

    async def tail(connection: ServerConnection) -> None:
        heard.append(connection)
        await connection.send('{"n": 1}')
        async for message in connection:
            if message == "stop":
                await connection.close(1011)
                return
            await connection.send(message)

    async with serve(tail, "127.0.0.1", port) as server:
        yield server


def tailing(
    server: Server, path: str = PATH, login: tuple[str, str] = ANN, tenant: str = ""
) -> connect:
    basic = b64encode(":".join(login).encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    if tenant:
        headers["X-Scope-OrgID"] = tenant
    return connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers)


async def cut(tail: ClientConnection) -> int:
    """Returns the code with which the gateway closes the connection."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                await tail.recv()
    return closed.value.rcvd.code if closed.value.rcvd is not None else 0
