"""Idle connections by last activity: at the connection limit the least recently active one closes.

Each operation takes constant time: a flood of connections causes no scan of those that are open.
"""

from collections import OrderedDict
from typing import Protocol


class Evictable(Protocol):
    """A connection that may be idle."""

    def evict(self) -> bool:
        """Closes the connection. Returns whether its place is free at once."""
        ...


class IdleConnections:
    """The connections of one worker process that have no request in progress."""

    def __init__(self) -> None:
        self._order: OrderedDict[Evictable, None] = OrderedDict()

    def add(self, connection: Evictable) -> None:
        """Marks *connection* as idle, and as the most recently active."""
        self._order[connection] = None
        self._order.move_to_end(connection)

    def discard(self, connection: Evictable) -> None:
        """Marks *connection* as in use or closed."""
        self._order.pop(connection, None)

    def make_room(self) -> bool:
        """Closes idle connections, the least recently active first, until a place is free.

        Returns False if no place is free then. Each connection is tried once, and removed.
        """
        while self._order:
            connection, _ = self._order.popitem(last=False)
            if connection.evict():
                return True
        return False
