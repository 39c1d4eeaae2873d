"""How much of upstreams' answers a worker holds in memory at a time."""

from headgate_server.refusals import Overloaded


class Buffers:
    """A budget of *most* bytes for all requests of a worker together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def hold(self) -> "Hold":
        """Returns an account of one request, with nothing in it."""
        return Hold(self)

    def change(self, size: int) -> None:
        """Adds *size* bytes to what is held. Raises Overloaded, and adds nothing, if that is more
        than there may be.
        """
        if size > 0 and self._held + size > self._most:
            raise Overloaded
        self._held += size


class Hold:
    """What one request holds. `release` gives all of it back, and may be called again."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._size = 0

    def grow(self, size: int) -> None:
        """Takes *size* bytes of the budget. Raises Overloaded."""
        self._buffers.change(size)
        self._size += size

    def release(self) -> None:
        """Gives back what was taken."""
        self._buffers.change(-self._size)
        self._size = 0
