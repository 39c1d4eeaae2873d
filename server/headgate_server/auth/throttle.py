"""A throttle against the guessing of passwords. No I/O, no HTTP."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from headgate_engine import Recent
from headgate_server.auth.errors import TooManyFailures
from headgate_server.http.network import network_of

_FORGOTTEN_SECONDS = 900.0
_CAPACITY = 100_000
_ADMIN_SECONDS = 3600.0
_ADMINS = 1_000
_DOUBLINGS = 30  # more would only make very large numbers

# Digest of a name, network: names can be as long as a request, and there are many counters.
_Key = tuple[bytes, str]


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    until: float = 0.0
    wrong: int = 0  # those of *count* that are known to be wrong


class Throttle:
    """Delays logins after too many failures.

    The first *pair* failed logins of a user from an address are not delayed, nor the first
    *address* ones of all users from there. From then on each failure doubles the delay, from one
    second to *longest* seconds (0 disables the throttle).

    If an administrator logged in from an address within the last hour, the first *admin* failures
    of all users from there are not delayed. Programs that manage users try passwords to learn
    whether they are set.

    Cached passwords are not counted here. An address waits only for its own failures. After 15
    minutes without a failure the count restarts; at most 100,000 counters are kept.
    """

    def __init__(
        self,
        pair: int = 5,
        address: int = 20,
        longest: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        admin: int = 1000,
    ) -> None:
        self._free = (pair, address)
        self._longest = longest
        self._clock = clock
        self._sheets: OrderedDict[_Key, _Failures] = OrderedDict()
        self._admin_free = admin
        self._admins: Recent[str, float] = Recent(_ADMINS)

    def has_failed(self, address: str) -> bool:
        """Returns whether a recent password from *address* was wrong."""
        _, whole = _keys("", address)
        return self._sheet(whole, self._clock()).wrong > 0

    def failed(self, address: str) -> None:
        """Records that an attempt, which `begin` counted, had a wrong password."""
        _, whole = _keys("", address)
        if (sheet := self._sheets.get(whole)) is not None:
            sheet.wrong += 1

    def admin_works(self, address: str) -> None:
        """Records that an administrator logged in from *address* now."""
        self._admins.keep(network_of(address), self._clock() + _ADMIN_SECONDS)

    def waits(self, name: str, address: str) -> bool:
        """Returns whether a login of *name* from *address* has to wait.

        Its password must not be checked then, which would distinguish correct ones from wrong ones.
        """
        now = self._clock()
        return self._until(_keys(name, address), now) > now

    def _until(self, keys: tuple[_Key, _Key], now: float) -> float:
        """Returns the time from which a login with *keys* is allowed."""
        pair, whole = (self._sheet(key, now) for key in keys)
        return max(pair.until, whole.until if whole.count >= self._free_for(keys[1], now) else 0.0)

    def _free_for(self, whole: _Key, now: float) -> int:
        """Returns how many failed logins of all users of an address are not delayed."""
        free = self._free[1]
        works_until = self._admins.get(whole[1])
        return free if works_until is None or works_until < now else max(free, self._admin_free)

    def begin(self, name: str, address: str) -> None:
        """Counts an attempt as failed, until its outcome is known. Raises TooManyFailures."""
        if not self._longest:
            return
        now = self._clock()
        keys = _keys(name, address)
        wait = self._until(keys, now) - now
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))
        for key, free in zip(keys, (self._free[0], self._free_for(keys[1], now)), strict=True):
            sheet = self._sheet(key, now)
            sheet.count += 1
            sheet.last = now
            over = sheet.count - free
            if over >= 0:
                sheet.until = now + min(self._longest, 2.0 ** min(over, _DOUBLINGS))
            self._keep(key, sheet)

    def succeeded(self, name: str, address: str) -> None:
        """Resets the counter of the user at the address, and removes the attempt from the
        address's.
        """
        pair, whole = _keys(name, address)
        self._sheets.pop(pair, None)
        self._take_back(whole, self._free[1])

    def undecided(self, name: str, address: str) -> None:
        """Removes an attempt from both counters: its password was not checked."""
        for key, free in zip(_keys(name, address), self._free, strict=True):
            self._take_back(key, free)

    def _take_back(self, key: _Key, free: int) -> None:
        sheet = self._sheets.get(key)
        if sheet is not None:
            sheet.count -= 1
            if sheet.count <= 0:
                del self._sheets[key]
                return
            if sheet.count < free:  # else the other failures still cause a delay
                sheet.until = 0.0

    def _sheet(self, key: _Key, now: float) -> _Failures:
        sheet = self._sheets.get(key)
        if sheet is None or now - sheet.last > _FORGOTTEN_SECONDS:
            return _Failures()
        return sheet

    def _keep(self, key: _Key, sheet: _Failures) -> None:
        self._sheets[key] = sheet
        self._sheets.move_to_end(key)
        while self._sheets:
            oldest = next(iter(self._sheets.values()))
            if len(self._sheets) <= _CAPACITY and sheet.last - oldest.last <= _FORGOTTEN_SECONDS:
                break
            self._sheets.popitem(last=False)


def _keys(name: str, address: str) -> tuple[_Key, _Key]:
    network = network_of(address)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return (digest, network), (b"", network)
