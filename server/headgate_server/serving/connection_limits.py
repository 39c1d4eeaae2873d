"""What one client's connection may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds (0: no limit) and open connections (0: any number) of one process."""

    read_header: float
    read: float
    write: float
    idle: float
    connections: int
