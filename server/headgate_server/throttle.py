"""Slowing down who guesses passwords. No I/O, no HTTP."""

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from headgate_engine import Recent
from headgate_server.refusals import TooManyFailures

_FORGOTTEN_SECONDS = 900.0
_CAPACITY = 100_000
_DOUBLINGS = 30  # more make no difference, and very large numbers

# Of a name its digest: names can be as long as a request, and sheets are many.
_Key = tuple[bytes, str]


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    until: float = 0.0


class Throttle:
    """Failed logins are free of delay *pair* times for a user from an address, and *address* times
    for all users from there; from then on each doubles the wait, from one second to *longest*.

    Right passwords that are remembered never come here from where they came in before, so nobody is
    locked out of what works; and an address waits only for its own failures. Who has not failed
    for 15 minutes has a clean sheet; at most 100,000 sheets are kept. *longest* 0 turns it off.
    """

    def __init__(
        self,
        pair: int = 5,
        address: int = 20,
        longest: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = (pair, address)
        self._longest = longest
        self._clock = clock
        self._sheets: OrderedDict[_Key, _Failures] = OrderedDict()
        self._let_in: Recent[tuple[str, str], str] = Recent(_CAPACITY)

    def let_in(self, name: str, address: str, mark: str) -> None:
        """Remembers that who has *mark* (a user with a password) came in from *address*."""
        self._let_in.keep((name, _network(address)), mark)

    def was_let_in(self, name: str, address: str, mark: str) -> bool:
        """Whether who has *mark* came in from there before."""
        return self._let_in.get((name, _network(address))) == mark

    def waits(self, name: str, address: str, mark: str) -> bool:
        """Whether who comes from there has to wait, and was not let in from there before.

        His password is not even to be looked at: right ones would be told from wrong ones.
        """
        if self.was_let_in(name, address, mark):
            return False
        keys = _keys(name, address)
        now = self._clock()
        return max(self._sheet(key, now).until for key in keys) > now

    def begin(self, name: str, address: str) -> None:
        """Counts a try as failed, until it is known better. Raises TooManyFailures."""
        if not self._longest:
            return
        now = self._clock()
        keys = _keys(name, address)
        wait = max(self._sheet(key, now).until for key in keys) - now
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))
        for key, free in zip(keys, self._free, strict=True):
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
    network = _network(address)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return (digest, network), (b"", network)


@lru_cache(1024)
def _network(address: str) -> str:
    """The address, or of IPv6 the network that one customer is given."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
