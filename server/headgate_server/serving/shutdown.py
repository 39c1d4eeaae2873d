"""The end of a worker process: it waits for running requests, for a limited time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from headgate_server.application import Application
from headgate_server.serving.server_state import ServerState

# Running requests are aborted after this time.
GRACE_SECONDS = 30
_CHECK_SECONDS = 0.1


class Acceptor(Protocol):
    """Accepts connections: an asyncio server, for example."""

    def close(self) -> None:
        """Stops accepting connections."""
        ...


async def shut_down(
    servers: Sequence[Acceptor], state: ServerState, application: Application
) -> None:
    """Closes idle connections, waits for the others for at most GRACE_SECONDS, then aborts them.

    Stops *servers* first, and *application* last.
    """
    deadline = asyncio.get_running_loop().time() + GRACE_SECONDS
    application.close_deadline = deadline
    try:
        for server in servers:
            server.close()
        state.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while state.connections or state.tasks:  # noqa: ASYNC110
                    await asyncio.sleep(_CHECK_SECONDS)
        state.abort()
    finally:
        await application.shutdown()
