"""Stops servers in the background, while the next test runs.

A server waits for its clients to close their connections, which needs no CPU time.
"""

from collections.abc import Iterable

from support.local_server import LocalServer

_MAX_ENDING = 8
_ending: list[LocalServer] = []


def end(servers: Iterable[LocalServer]) -> None:
    """Starts to stop *servers*. If more than 8 servers are stopping, waits for the oldest."""
    for server in servers:
        if server.running():
            server.end_later()
            _ending.append(server)
    while len(_ending) > _MAX_ENDING:
        _ending.pop(0).join()


def wait_for_all() -> None:
    """Waits until all servers have stopped."""
    while _ending:
        _ending.pop().join()
