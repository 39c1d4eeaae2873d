"""Throttles the guessing of passwords: delays logins after failures. Does no I/O."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from headgate_engine import LoginDelays
from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import TooManyFailures
from headgate_server.config.settings import (
    FREE_FAILURES,
    FREE_FAILURES_PER_ADDRESS,
    MAX_DELAY_SECONDS,
)
from headgate_server.http.client_network import network_of

_RESET_SECONDS = 900.0
_MAX_COUNTERS = 100_000
_ADMIN_SECONDS = 3600.0
_MAX_ADMIN_NETWORKS = 1_000
_MAX_DOUBLINGS = 30  # keeps the power of 2 small enough for a float

# The digest of a user's name (b"" for all users), and the network. A digest limits the memory of
# the many counters: a name can be as long as a request.
_Key = tuple[bytes, str]


@dataclass(slots=True)
class _FailureCounter:
    count: int = 0
    delayed_until: float = 0.0
    wrong_passwords: int = 0  # attempts in *count* with a password that bcrypt found wrong


class Throttle:
    """Delays logins after too many failures.

    Failed logins are counted for each user at each address, and for each address. A login is
    delayed after *free_per_user* failures of the user at the address, or after *free_per_address*
    failures at the address. Each further failure doubles the delay, from one second to *max_delay*
    seconds (0 disables the throttle).

    For an hour after an administrator's login from an address, the larger of *free_per_address* and
    *free_per_admin_address* applies there. The reason: an administrator's program may test the
    passwords of many users, and each failed test counts as a failed login.

    All addresses of an IPv6 /64 network count as one address. Logins with a cached password are not
    counted. Failures at an address delay no other address. After 15 minutes without a failure the
    count restarts; at most 100,000 counters are kept.

    *delays* are those of the servers on other machines: they hold here, too, and receive those that
    wrong passwords cause here.
    """

    def __init__(
        self,
        free_per_user: int = FREE_FAILURES,
        free_per_address: int = FREE_FAILURES_PER_ADDRESS,
        max_delay: float = MAX_DELAY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        *,
        free_per_admin_address: int = 1000,
        delays: LoginDelays | None = None,
    ) -> None:
        self._free = (free_per_user, free_per_address)
        self._max_delay = max_delay
        self._clock, self._delays = clock, delays
        self._counters: GenerationalCache[_Key, _FailureCounter] = GenerationalCache(
            _MAX_COUNTERS, _RESET_SECONDS, clock
        )
        self._free_per_admin_address = free_per_admin_address
        self._admins: GenerationalCache[str, bool] = GenerationalCache(
            _MAX_ADMIN_NETWORKS, _ADMIN_SECONDS, clock
        )

    def separate(self) -> "Throttle":
        """Returns a throttle with the same limits, and no failures yet."""
        return Throttle(
            *self._free,
            self._max_delay,
            self._clock,
            free_per_admin_address=self._free_per_admin_address,
        )

    def has_wrong_password(self, address: str) -> bool:
        """Returns whether a recent login from *address* had a wrong password."""
        _, whole = _keys("", address)
        return self._counter(whole).wrong_passwords > 0

    def fail_attempt(self, name: str, address: str) -> None:
        """Ends an attempt with a wrong password, which `start_attempt` has counted before."""
        keys = _keys(name, address)
        if (counter := self._counters.get(keys[1])) is not None:
            counter.wrong_passwords += 1
        if self._delays is None:
            return
        now = self._clock()
        for key, free in zip(keys, (self._free[0], self._free_failures(keys[1])), strict=True):
            counter = self._counter(key)
            if counter.count >= free and counter.delayed_until > now:
                self._delays.publish(_shared_name(key), counter.delayed_until - now)

    def record_admin(self, address: str) -> None:
        """Records that an administrator logged in from *address* now."""
        self._admins.put(network_of(address), True)

    def is_throttled(self, name: str, address: str) -> bool:
        """Returns whether a login of *name* from *address* has to wait.

        If it has to wait, the caller must reject the login without checking its password. Otherwise
        the response would reveal whether the password is correct.
        """
        now = self._clock()
        return self._delayed_until(_keys(name, address), now) > now

    def _delayed_until(self, keys: tuple[_Key, _Key], now: float) -> float:
        """Returns the time from which a login is allowed. *keys* are a result of `_keys`."""
        pair, whole = (self._counter(key) for key in keys)
        return max(
            pair.delayed_until,
            whole.delayed_until if whole.count >= self._free_failures(keys[1]) else 0.0,
            self._delayed_elsewhere(keys, now),
        )

    def _delayed_elsewhere(self, keys: tuple[_Key, _Key], now: float) -> float:
        """Returns the time from which the other servers allow a login; 0.0 without a delay."""
        if self._delays is None or not self._max_delay:
            return 0.0
        pair, whole = keys
        seconds = self._delays.seconds_left(_shared_name(pair))
        if not self._admins.get(whole[1]):
            seconds = max(seconds, self._delays.seconds_left(_shared_name(whole)))
        return now + min(seconds, self._max_delay) if seconds else 0.0

    def _free_failures(self, whole: _Key) -> int:
        """Returns how many logins may fail without a delay from the network *whole*."""
        free = self._free[1]
        return max(free, self._free_per_admin_address) if self._admins.get(whole[1]) else free

    def start_attempt(self, name: str, address: str) -> None:
        """Counts an attempt as failed, until `complete_attempt` or `cancel_attempt` corrects this.

        Raises TooManyFailures if logins of *name* from *address* have to wait.
        """
        if not self._max_delay:
            return
        now = self._clock()
        keys = _keys(name, address)
        wait = self._delayed_until(keys, now) - now
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))
        for key, free in zip(keys, (self._free[0], self._free_failures(keys[1])), strict=True):
            counter = self._counter(key)
            counter.count += 1
            self._delay(counter, free, now)
            self._counters.put(key, counter)

    def _delay(self, counter: _FailureCounter, free: int, now: float) -> None:
        """Delays further logins if *counter* has more than *free* failures."""
        over = counter.count - free
        if over >= 0:
            counter.delayed_until = now + min(self._max_delay, 2.0 ** min(over, _MAX_DOUBLINGS))

    def count_failure(self, address: str) -> None:
        """Counts a failed login from *address* that no user is known for, such as by an API key.

        Raises TooManyFailures if logins from *address* have to wait.
        """
        _, whole = _keys("", address)
        counter, now, free = self._counter(whole), self._clock(), self._free_failures(whole)
        if not self._max_delay:
            return
        if counter.count >= free and counter.delayed_until > now:
            raise TooManyFailures(math.ceil(counter.delayed_until - now))
        counter.count += 1
        self._delay(counter, free, now)
        self._counters.put(whole, counter)

    def complete_attempt(self, name: str, address: str) -> None:
        """Ends a successful attempt.

        Resets the counter of the user *name* at *address*, and removes the attempt from the counter
        of all users at *address*.
        """
        pair, whole = _keys(name, address)
        self._counters.remove(pair)
        self._decrement(whole, self._free[1])

    def cancel_attempt(self, name: str, address: str) -> None:
        """Removes an attempt from the counters of its user and of its address.

        Call it if the password was not checked.
        """
        for key, free in zip(_keys(name, address), self._free, strict=True):
            self._decrement(key, free)

    def _decrement(self, key: _Key, free: int) -> None:
        counter = self._counters.get(key)
        if counter is not None:
            counter.count -= 1
            if counter.count <= 0:
                self._counters.remove(key)
                return
            if counter.count < free:  # otherwise the remaining failures still cause a delay
                counter.delayed_until = 0.0

    def _counter(self, key: _Key) -> _FailureCounter:
        return self._counters.get(key) or _FailureCounter()


def _keys(name: str, address: str) -> tuple[_Key, _Key]:
    """Returns the keys of two counters: of the user *name* at *address*, and of all users there."""
    network = network_of(address)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return (digest, network), (b"", network)


def _shared_name(key: _Key) -> str:
    """Returns the name of *key* among the delays of all servers. It shows no name or address."""
    digest, network = key
    return hashlib.blake2b(digest + network.encode(), digest_size=16).hexdigest()
