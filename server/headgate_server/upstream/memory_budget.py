"""Budget for the memory that a worker uses to buffer upstream answers."""

from typing import Protocol

from headgate_server.http.errors import Overloaded


class Budget(Protocol):
    """A budget in bytes, or a reservation within a budget."""

    def change(self, size: int) -> None:
        """Takes *size* bytes of the budget, or returns them if *size* is negative.

        Raises Overloaded, and takes nothing, if the budget would be exceeded.
        """
        ...


class BufferBudget:
    """Implements `Budget` with *max_bytes* bytes, shared by all requests of a worker."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.reserved_bytes = 0

    def reserve(self) -> "Reservation":
        """Returns an empty reservation for one request."""
        return Reservation(self)

    def change(self, size: int) -> None:
        """Takes *size* bytes, or returns them if *size* is negative.

        Raises Overloaded, and takes nothing, if the budget would be exceeded.
        """
        if size > 0 and self.reserved_bytes + size > self._max_bytes:
            raise Overloaded
        self.reserved_bytes += size


class Reservation:
    """The bytes that one request, or a part of it, has taken of *budget*. Implements `Budget`.

    `release` returns all bytes, including the bytes of `child` reservations. It may be called
    repeatedly.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0

    def child(self) -> "Reservation":
        """Returns a reservation whose bytes also count in this reservation.

        `release` of either reservation returns the bytes of the new reservation to the budget.
        """
        return Reservation(self)

    def grow(self, size: int) -> None:
        """Takes *size* bytes of the budget. Raises Overloaded if the budget would be exceeded."""
        self.change(size)

    def change(self, size: int) -> None:
        """Takes *size* bytes, or returns them if *size* is negative.

        Returns at most the bytes that this reservation has taken. Raises Overloaded, and takes
        nothing, if the budget would be exceeded.
        """
        size = max(size, -self._bytes)
        self._budget.change(size)
        self._bytes += size

    def release(self) -> None:
        """Returns all bytes to the budget."""
        self.change(-self._bytes)
