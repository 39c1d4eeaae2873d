"""Tells systemd the state of the server, and takes over the sockets that systemd has opened.

The source is systemd's documentation of sd_notify(3) and sd_listen_fds(3).
"""

import os
import socket
import time
from collections.abc import Mapping

_FIRST_DESCRIPTOR = 3


class ServiceManager:
    """Sends states to the socket that *environment* names; without one, does nothing.

    The process that systemd has started uses it: with several workers, the supervisor.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._next_sign = 0.0

    @property
    def watchdog_pause(self) -> float | None:
        """Seconds between two signs of life; None if systemd expects none."""
        return self._watchdog_seconds / 2 if self._watchdog_seconds else None

    def ready(self) -> None:
        """Says that requests are answered, also after `reloading`."""
        self._send("READY=1\nSTATUS=ready")

    def reloading(self) -> None:
        """Says that the configuration is being read again."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Says that the server ends."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def sign_of_life(self) -> None:
        """Says that the server still works, if that is due."""
        pause = self.watchdog_pause
        if pause is not None and time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + pause
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is not a file, but a name of Linux.
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(state.encode(), address)
        except OSError:
            return  # systemd itself is restarting, or no file can be opened now


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Returns within which time systemd expects a sign of life; 0.0 for none."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isascii() and text.isdigit() else 0.0


def inherited_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """Returns the listening sockets that systemd has opened for this process, in their order.

    Raises OSError for a descriptor that is not a socket.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not (
        count.isascii() and count.isdigit()
    ):
        return []
    found = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        found.append(socket.socket(fileno=descriptor))
    return found
