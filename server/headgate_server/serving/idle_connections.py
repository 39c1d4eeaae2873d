"""Eviction at the connection limit: closes the idle connection that was least recently active.

Connections are examined only at the limit, so that requests cost nothing extra.
"""

from collections.abc import Collection
from typing import Protocol

from headgate_server.telemetry.metrics import Metrics

# With n connections, at most every n/64th call scans all of them.
_CONNECTIONS_PER_CALL = 64


class Evictable(Protocol):
    """A connection that may be idle."""

    @property
    def idle_since(self) -> float | None:
        """The time of the last activity, by the loop's clock. None: a request is in progress."""
        ...

    def evict(self) -> bool:
        """Closes the connection. Returns whether a new connection may take its place at once."""
        ...


class IdleConnections:
    """The idle connections of one worker process, sorted by their last activity.

    A sorted list serves many calls of `free_place`. So in a flood of new connections, only few of
    them cause a scan of all connections.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, Evictable]] = []  # the least recently active is last
        self._calls = 0  # since the last sort

    def make_room(self, connections: Collection[Evictable], limit: int, metrics: Metrics) -> bool:
        """Returns whether the newest of *connections* may stay: at most *limit* may be open.

        Beyond the limit (0: none), counts a refusal in *metrics*, and closes an idle connection.
        """
        if not 0 < limit < len(connections):
            return True
        metrics.connection_refused()
        return self.free_place(connections)

    def free_place(self, connections: Collection[Evictable]) -> bool:
        """Closes idle connections, the least recently active first, until a place is free.

        Returns False if no idle connection was found. A connection that became idle after the last
        sort may be found only by a later call. *connections* are all open connections.
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
