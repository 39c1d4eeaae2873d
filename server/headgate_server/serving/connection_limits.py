"""Limits of a client's connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times in seconds (0: no limit), and the open connections of one process (0: no limit)."""

    read_header: float
    read: float
    write: float
    idle: float
    connections: int
