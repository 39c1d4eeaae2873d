"""Turns of the processes that write to one log: the process that has just written waits briefly.

A compare-and-set alone is unfair: the process that has just written has the newest state, and
writes first again.
"""

import threading
from collections.abc import Callable

# A process counts as a writer for this long after its last change.
_WRITER_SECONDS = 0.2
# For so long each other writer is waited for: twice the time of a change, within these limits.
_SHORTEST_TURN_SECONDS, _LONGEST_TURN_SECONDS = 0.004, 0.05
# The weight of the newest time in the mean.
_WEIGHT = 0.2


class Turns:
    """Lets each of the other writers write once between two changes of this process. Thread-safe.

    *clock* returns seconds, *own* is the name of this process. `wait` is for one thread at a time.
    """

    def __init__(self, clock: Callable[[], float], own: str = "") -> None:
        self._clock, self._own = clock, own
        self._condition = threading.Condition()
        # When each other process has last written.
        self._seen: dict[str, float] = {}
        self._since_own: set[str] = set()
        self._has_written = False
        self._change_seconds = 0.0

    def other_wrote(self, server: str) -> None:
        """Notes that the process *server* has written, unless it is this one."""
        if server == self._own:
            return
        with self._condition:
            self._seen[server] = self._clock()
            self._since_own.add(server)
            self._condition.notify_all()

    def wrote(self, seconds: float) -> None:
        """Notes that this process has written, which took *seconds*."""
        with self._condition:
            self._has_written = True
            self._since_own.clear()
            self._change_seconds += _WEIGHT * (seconds - self._change_seconds)

    def wait(self) -> None:
        """Waits for the changes of other writers, at most 50 ms for each of them."""
        with self._condition:
            oldest = self._clock() - _WRITER_SECONDS
            self._seen = {it: at for it, at in self._seen.items() if at >= oldest}
            others = set(self._seen)
            if self._has_written and not others <= self._since_own:
                turn = min(_LONGEST_TURN_SECONDS, 2 * self._change_seconds)
                self._condition.wait_for(
                    lambda: others <= self._since_own,
                    max(_SHORTEST_TURN_SECONDS, turn) * len(others - self._since_own),
                )
            self._has_written = False

    @property
    def writers(self) -> int:
        """The number of other processes that wrote lately."""
        with self._condition:
            oldest = self._clock() - _WRITER_SECONDS
            return sum(at >= oldest for at in self._seen.values())
