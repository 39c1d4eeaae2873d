"""Delays of logins of which the servers of one user store tell each other, best effort."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_grammar import GenerationalCache

_MAX_NAMES = 100_000
_MAX_QUEUED = 1000
_PUBLISH_PAUSE_SECONDS = 0.1
_RETRY_SECONDS = 1.0


class LoginDelays:
    """Publishes delays of logins, and keeps those that other servers publish. Thread-safe.

    A delay has a name, which shows neither the user nor the address. *publish* sends a name and
    its seconds; it blocks. *follow* yields what was published, and ends after `close`. While the
    store is away, no delay is sent and none arrives: a login is refused by known delays alone. At
    most 10 delays a second are sent. *clock* returns seconds.
    """

    def __init__(
        self,
        publish: Callable[[str, float], None],
        follow: Callable[[], Iterator[tuple[str, float]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish, self._follow, self._clock = publish, follow, clock
        self._until: GenerationalCache[str, float] = GenerationalCache(_MAX_NAMES)
        self._queue: queue.Queue[tuple[str, float]] = queue.Queue(_MAX_QUEUED)
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._send, "delays-send"), (self._receive, "delays-receive"))
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def publish(self, name: str, seconds: float) -> None:
        """Tells the other servers that logins of *name* wait for *seconds*. Does not block.

        It is left out if many delays wait to be sent.
        """
        try:
            self._queue.put_nowait((name, seconds))
        except queue.Full:
            return

    def seconds_left(self, name: str) -> float:
        """Returns for how many seconds logins of *name* still wait; 0.0 for an unknown name."""
        until = self._until.get(name)
        return 0.0 if until is None else max(0.0, until - self._clock())

    def _send(self) -> None:
        while not self._closing.is_set():
            try:
                name, seconds = self._queue.get(timeout=_PUBLISH_PAUSE_SECONDS)
            except queue.Empty:
                continue
            try:
                self._publish(name, seconds)
            except (StoreUnavailable, StoreError):
                continue  # the server itself still knows the delay
            self._closing.wait(_PUBLISH_PAUSE_SECONDS)

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                for name, seconds in self._follow():
                    until = self._clock() + seconds
                    self._until.put(name, max(until, self._until.get(name) or 0.0))
            except (StoreUnavailable, StoreError):
                self._closing.wait(_RETRY_SECONDS)

    def close(self) -> None:
        """Ends the threads; *follow* has to end by itself."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * _RETRY_SECONDS)
