"""Eviction of idle connections: at the connection limit the least recently active one closes.

Connections are examined only when no place is free, so that requests cost nothing extra.
"""

from collections.abc import Collection
from typing import Protocol

# With n connections, at most every n/64th call scans all of them.
_CONNECTIONS_PER_CALL = 64


class Evictable(Protocol):
    """A connection that may be idle."""

    @property
    def idle_since(self) -> float | None:
        """When the connection was last active; None while a request is in progress."""
        ...

    def evict(self) -> bool:
        """Closes the connection. Returns whether its place is free at once."""
        ...


class IdleConnections:
    """The connections of one worker process that have no request in progress.

    The number of connections bounds memory and the mean cost of a call. A flood of new connections
    does not cause a scan for each.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, Evictable]] = []  # the least recently active is last
        self._calls = 0  # since the last sort

    def free_place(self, connections: Collection[Evictable]) -> bool:
        """Closes idle ones of *connections*, the least recently active first, until a place is
        free.

        Returns False if no place is free then. Each connection is tried once. If most are in use,
        one that became idle in the meantime may be found only by a later call.
        """
        self._calls += 1
        if self._evict():
            return True
        if self._calls * _CONNECTIONS_PER_CALL < len(connections):
            return False
        self._calls = 0
        idle = [(one.idle_since, one) for one in connections]
        known = [(since, one) for since, one in idle if since is not None]
        self._order = sorted(known, key=lambda pair: pair[0], reverse=True)
        return self._evict()

    def _evict(self) -> bool:
        while self._order:
            since, connection = self._order.pop()
            # A connection that was active after the sort is no longer the least recent.
            if connection.idle_since == since and connection.evict():
                return True
        return False
