"""Limits of client connections: timeouts, and how many may be open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Timeouts in seconds, and the maximum of open connections of one process (0: no limit)."""

    read_header: float
    read: float
    write: float
    idle: float
    connections: int
