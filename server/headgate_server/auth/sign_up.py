"""Accounts that people create themselves: their names, their rights, and how many there may be."""

import re
import time
from collections import deque
from collections.abc import Callable

from headgate_engine import TokenRights
from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import TooManySignUps
from headgate_server.config.role_words import ROLE_PRIVILEGES
from headgate_server.config.settings import Settings
from headgate_server.http.client_network import network_of
from headgate_server.http.errors import BadRequest

_NAME = re.compile("[A-Za-z0-9._@+-]{1,64}")
_HOUR, _DAY = 3600, 86_400
_TRIES_PER_ACCOUNT = 10
_MAX_NETWORKS = 10_000
_ALL = "*"


def check_sign_up_name(name: str) -> None:
    """Raises BadRequest unless *name* is one that an account may be created with.

    A sign-up has a simpler name than CREATE USER allows: an administrator reads it in a list.
    """
    if not _NAME.fullmatch(name):
        raise BadRequest("name: expected at most 64 letters, digits and . _ @ + -")


def check_sign_up_full_name(name: str) -> None:
    """Raises BadRequest for a full name with an address: it would be an advertisement."""
    if "://" in name:
        raise BadRequest("fullName: expected a name, not an address")


def first_rights(settings: Settings) -> TokenRights:
    """Returns the rights of a new account: `signup-default-role` on `signup-databases`."""
    privilege = ROLE_PRIVILEGES[settings.signup_default_role.lower()]
    admin = True if privilege is None else None
    databases = settings.signup_databases
    if privilege is None or not privilege:
        return TokenRights(admin=admin)
    named = {name: privilege for name in databases if name != _ALL}
    if _ALL in databases:
        return TokenRights(named, privilege, admin)
    return TokenRights(named, admin=admin)


class SignUpLimiter:
    """Limits the sign-ups of an address in an hour, and of all addresses in a day.

    Ten times as many tries are allowed. An IPv6 client counts by its /64 network. The counts are
    those of this process.
    """

    def __init__(
        self, per_address: int, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_address, self._total = per_address, total
        self._clock = clock
        self._networks: GenerationalCache[tuple[str, str], deque[float]] = GenerationalCache(
            _MAX_NETWORKS, _HOUR, clock
        )
        self._all: dict[str, deque[float]] = {"accounts": deque(), "tries": deque()}

    def check(self, address: str) -> None:
        """Counts a try from *address*. Raises TooManySignUps."""
        self._check("accounts", address, 1)
        self._check("tries", address, _TRIES_PER_ACCOUNT)
        self._count("tries", address)

    def count(self, address: str) -> None:
        """Counts an account that is created from *address*.

        Call it before the account is created: otherwise any number may be created at a time.
        """
        self._count("accounts", address)

    def discount(self, address: str) -> None:
        """Takes back a `count`, if no account was created from *address* after all."""
        for times in (self._networks.get(("accounts", network_of(address))), self._all["accounts"]):
            if times:
                times.pop()

    def _check(self, what: str, address: str, factor: int) -> None:
        now = self._clock()
        own = self._networks.get((what, network_of(address))) or deque()
        for times, limit, seconds in (
            (own, self._per_address, _HOUR),
            (self._all[what], self._total, _DAY),
        ):
            while times and times[0] <= now - seconds:
                times.popleft()
            if len(times) >= limit * factor:
                raise TooManySignUps(max(1, int(times[0] + seconds - now)))

    def _count(self, what: str, address: str) -> None:
        now, key = self._clock(), (what, network_of(address))
        times = self._networks.get(key) or deque()
        times.append(now)
        self._networks.put(key, times)
        self._all[what].append(now)
