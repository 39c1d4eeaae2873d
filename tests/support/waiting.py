"""Finds free ports, and waits until a condition holds instead of for a fixed time."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from itertools import cycle


def _own_ports() -> Iterator[int]:
    """Yields the ports reserved for this process of the tests, over and over.

    Each pytest worker has its own range, outside the ports that the system uses for outgoing
    connections.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = 10_000 + 4_000 * (int(worker[2:] or 0) % 5 if worker.startswith("gw") else 4)
    # Starts at a varying port, because an earlier process may still hold its ports.
    start = os.getpid() % 4_000
    yield from cycle([first + (start + number) % 4_000 for number in range(4_000)])


_PORTS = _own_ports()


def free_port() -> int:
    """Returns a port that no program listens on."""
    for port in _PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("there is no end of ports")


def poll_until(done: Callable[[], bool], reason: str, seconds: float = 20) -> None:
    """Waits until *done* returns True; raises AssertionError with *reason* after *seconds*."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not done():
        assert time.monotonic() < deadline, reason
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
