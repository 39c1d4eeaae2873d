"""Ends servers while the next test runs: closing connections waits for clients, not for work."""

from collections.abc import Iterable

from support.local_server import LocalServer

_MOST_ENDING = 8
_ending: list[LocalServer] = []


def end(servers: Iterable[LocalServer]) -> None:
    """Begins the end of *servers*, and waits for those that began longest ago."""
    for server in servers:
        if server.running():
            server.end_later()
            _ending.append(server)
    while len(_ending) > _MOST_ENDING:
        _ending.pop(0).join()


def wait_for_all() -> None:
    while _ending:
        _ending.pop().join()
