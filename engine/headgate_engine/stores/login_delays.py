"""Delays of logins of which the servers of one user store tell each other, best effort.

A message is `NAME UNTIL MAC`. The name is an HMAC, so it shows neither the user nor the address,
and the MAC is one of both: only a program that can read the store can make a message.
"""

import hmac
import math
import threading
import time
from collections.abc import Callable, Iterator

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_grammar import GenerationalCache

_MAX_NAMES = 100_000
_MAX_WAITING = 1000
_PUBLISH_PAUSE_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_LONGEST_SECONDS = 3600.0


class LoginDelays:
    """Publishes delays of logins, and keeps those that other servers publish. Thread-safe.

    *publish* sends a message, which is of use for the given seconds; it blocks. *follow* yields
    messages, and ends after `close`. *secret* returns what all servers of the store know. While the
    store is away, no delay is sent and none arrives: a login is refused by known delays alone. At
    most 10 messages a second are sent, the newest first. *clock* returns Unix seconds, which should
    be alike on all machines.
    """

    def __init__(
        self,
        publish: Callable[[str, float], None],
        follow: Callable[[], Iterator[str]],
        secret: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._publish, self._follow, self._secret, self._clock = publish, follow, secret, clock
        # When the logins of each name may go on, by its HMAC.
        self._until: GenerationalCache[str, float] = GenerationalCache(_MAX_NAMES)
        self._waiting: dict[str, float] = {}
        self._lock = threading.Lock()
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

        The oldest one is left out if 1000 wait to be sent.
        """
        with self._lock:
            self._waiting.pop(name, None)
            while len(self._waiting) >= _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[name] = self._clock() + seconds

    def seconds_left(self, name: str) -> float:
        """Returns for how many seconds logins of *name* still wait; 0.0 for an unknown name."""
        try:
            until = self._until.get(self._mac(name))
        except StoreUnavailable:
            return 0.0
        return 0.0 if until is None else max(0.0, until - self._clock())

    def _mac(self, text: str) -> str:
        return hmac.digest(self._secret().encode(), text.encode(), "sha256").hex()[:32]

    def _send(self) -> None:
        while not self._closing.wait(_PUBLISH_PAUSE_SECONDS):
            with self._lock:
                if not self._waiting:
                    continue
                name, until = self._waiting.popitem()
            seconds = until - self._clock()
            if seconds <= 0:
                continue
            try:
                signed = f"{self._mac(name)} {until:.3f}"
                self._publish(f"{signed} {self._mac(signed)}", seconds)
            except (StoreUnavailable, StoreError):
                with self._lock:
                    self._waiting.setdefault(name, until)  # sent later, if it still holds then
                self._closing.wait(_RETRY_SECONDS)

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                for message in self._follow():
                    if (found := self._checked(message)) is not None:
                        name, until = found
                        self._until.put(name, max(until, self._until.get(name) or 0.0))
            except (StoreUnavailable, StoreError):
                pass  # the connection is made again
            self._closing.wait(_RETRY_SECONDS)

    def _checked(self, message: str) -> tuple[str, float] | None:
        """Returns the name and the end of a delay in *message*; None if another program made it."""
        signed, _, mac = message.rpartition(" ")
        name, _, text = signed.partition(" ")
        if not (mac.isascii() and hmac.compare_digest(mac, self._mac(signed))):
            return None
        try:
            until = float(text)
        except ValueError:
            return None
        latest = self._clock() + _LONGEST_SECONDS
        return (name, min(until, latest)) if math.isfinite(until) else None

    def close(self) -> None:
        """Ends the threads; *follow* has to end by itself."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * _RETRY_SECONDS)
