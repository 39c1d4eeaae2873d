"""Ports that are free, and waiting for a state instead of for a time."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from itertools import cycle


def _own_ports() -> Iterator[int]:
    """Yields without end the ports of this process of the tests.

    No other process starts a server on them, and the system takes none for an outgoing connection.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = 10_000 + 4_000 * (int(worker[2:] or 0) % 5 if worker.startswith("gw") else 4)
    # Not always from the beginning: a process that was there before may hold its port for a while.
    start = os.getpid() % 4_000
    yield from cycle([first + (start + number) % 4_000 for number in range(4_000)])


_PORTS = _own_ports()


def free_port() -> int:
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("there is no end of ports")


def poll_until(done: Callable[[], bool], reason: str, seconds: float = 20) -> None:
    """Waits until *done* returns True; fails with *reason* if it does not in time."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not done():
        assert time.monotonic() < deadline, reason
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
