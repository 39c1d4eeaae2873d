"""The positions of the processes of one machine, by which each shows how far it has come.

A change is acknowledged when each process of the machine has it: the next request to any of them
obeys the change.
"""

import time
from collections.abc import MutableSequence
from dataclasses import dataclass

_FREE = 0
_FIRST_PAUSE_SECONDS = 0.00005
_LONGEST_PAUSE_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class PositionSlot:
    """The slot *number* of this process in *positions*, which the machine's processes share.

    *positions* is an array in shared memory, such as `multiprocessing`'s `RawArray("q", size)`. A
    slot has the position of its process, and 0 while no process uses it.
    """

    positions: MutableSequence[int]
    number: int

    def show(self, position: int) -> None:
        """Shows that this process has *position*."""
        self.positions[self.number] = max(position, _FREE + 1)

    def clear(self) -> None:
        """Frees the slot: no change waits for it. For the slot of a process that has ended."""
        self.positions[self.number] = _FREE

    def wait_for_others(self, position: int, seconds: float) -> bool:
        """Waits until each used slot has *position*, at most *seconds*. Returns whether all have.

        A process that has not is behind by the bound of its own reads at most.
        """
        ends_at, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
        while any(_FREE < at < position for at in self.positions):
            if time.monotonic() >= ends_at:
                return False
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return True
