"""Slowing down who guesses passwords. No I/O, no HTTP."""

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
_DOUBLINGS = 30  # more make no difference, and very large numbers

# Of a name its digest: names can be as long as a request, and sheets are many.
_Key = tuple[bytes, str]


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    until: float = 0.0
    wrong: int = 0  # those of *count* that are known to be wrong


class Throttle:
    """Failed logins are free of delay *pair* times for a user from an address, and *address* times
    for all users from there; from then on each doubles the wait, from one second to *longest*.

    From an address where an administrator was let in within the last hour, *admin* failures of all
    users are free: programs that manage users try passwords to learn whether they are set.
    Passwords that are remembered are not tried here, and an address waits only for its own
    failures. After 15 minutes without a failure the count starts anew; at most 100,000 counts are
    kept. *longest* 0 turns it off.
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
        """Returns whether a password from there was wrong lately."""
        _, whole = _keys("", address)
        return self._sheet(whole, self._clock()).wrong > 0

    def failed(self, address: str) -> None:
        """Notes that a try that was counted is known to be wrong."""
        _, whole = _keys("", address)
        if (sheet := self._sheets.get(whole)) is not None:
            sheet.wrong += 1

    def admin_works(self, address: str) -> None:
        """Remembers that an administrator was let in from there now."""
        self._admins.keep(network_of(address), self._clock() + _ADMIN_SECONDS)

    def waits(self, name: str, address: str) -> bool:
        """Returns whether a login from there has to wait.

        Its password is not even to be looked at: right ones would be told from wrong ones.
        """
        now = self._clock()
        return self._until(_keys(name, address), now) > now

    def _until(self, keys: tuple[_Key, _Key], now: float) -> float:
        """When a login with these keys may be tried."""
        pair, whole = (self._sheet(key, now) for key in keys)
        return max(pair.until, whole.until if whole.count >= self._free_for(keys[1], now) else 0.0)

    def _free_for(self, whole: _Key, now: float) -> int:
        """How many failures are free for all users of an address."""
        free = self._free[1]
        works_until = self._admins.get(whole[1])
        return free if works_until is None or works_until < now else max(free, self._admin_free)

    def begin(self, name: str, address: str) -> None:
        """Counts a try as failed, until it is known better. Raises TooManyFailures."""
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
        """Wipes the sheet of the pair, and takes this try off the address's."""
        pair, whole = _keys(name, address)
        self._sheets.pop(pair, None)
        self._take_back(whole, self._free[1])

    def undecided(self, name: str, address: str) -> None:
        """The try was neither right nor wrong: nobody had the time to look."""
        for key, free in zip(_keys(name, address), self._free, strict=True):
            self._take_back(key, free)

    def _take_back(self, key: _Key, free: int) -> None:
        sheet = self._sheets.get(key)
        if sheet is not None:
            sheet.count -= 1
            if sheet.count <= 0:
                del self._sheets[key]
                return
            if sheet.count < free:  # else the others have to be waited for all the same
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
