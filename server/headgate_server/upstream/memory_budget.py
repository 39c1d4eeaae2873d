"""How much of upstreams' answers a worker holds in memory at a time."""

from typing import Protocol

from headgate_server.http.errors import Overloaded


class Budget(Protocol):
    """Bytes that may be held."""

    def change(self, size: int) -> None:
        """Adds *size* bytes to what is held. Raises Overloaded, and adds nothing, if that is more
        than there may be.
        """
        ...


class Buffers:
    """A budget of *most* bytes for all requests of a worker together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def hold(self) -> "Hold":
        """Returns an account of one request, with nothing in it."""
        return Hold(self)

    def change(self, size: int) -> None:
        """See Budget."""
        if size > 0 and self.held + size > self._most:
            raise Overloaded
        self.held += size


class Hold:
    """What one request holds, or a part of it. `release` gives all of it back, that of its parts
    included, and may be called again.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def part(self) -> "Hold":
        """Returns an account within this one, which is released by itself or with this one."""
        return Hold(self)

    def grow(self, size: int) -> None:
        """Takes *size* bytes of the budget. Raises Overloaded."""
        self.change(size)

    def change(self, size: int) -> None:
        """See Budget. Gives back no more than was taken."""
        size = max(size, -self._size)
        self._budget.change(size)
        self._size += size

    def release(self) -> None:
        """Gives back what was taken."""
        self.change(-self._size)
