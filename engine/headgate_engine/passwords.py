"""Hashes and verifies passwords, and caches what was verified. Uses bcrypt."""

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import bcrypt

from headgate_engine.errors import BadPassword
from headgate_engine.model.user import User

# The defaults here and in the server's settings; InfluxDB's cost is 10.
BCRYPT_COST = 10
MIN_PASSWORD_LENGTH = 0
# bcrypt uses the first 72 bytes only; some implementations truncate silently.
LONGEST = 72
# A stored cost of 31 would keep bcrypt busy for two days, without a way to interrupt it.
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")


_SALT = slice(7, 29)


@dataclass(slots=True)
class _Remembered:
    """A cached verification: the keyed digest of the password, and the salt of the hash."""

    digest: bytes = field(repr=False)
    salt: str = field(repr=False)


def same_password(one: User, other: User) -> bool:
    """Returns whether both are the same user with the same password, at any bcrypt cost.

    Every new password gets its own salt, which a rehash at another cost keeps.
    """
    return one.id == other.id and hmac.compare_digest(one.hash[_SALT], other.hash[_SALT])


def mark(user: User) -> str:
    """Returns a value that is constant while *user* has the same password, and reveals nothing of
    it.
    """
    return f"{user.id} {user.hash[_SALT]}"


class Passwords:
    """Hashes and verifies passwords with bcrypt, and caches verified ones.

    The cache lives in memory and holds a keyed digest per user, bound to the user's id and salt. An
    entry therefore becomes invalid when the user is dropped or the password changes. Thread-safe.

    *cost* is bcrypt's (4 to 14; InfluxDB's is 10). *capacity* is the number of cached users.
    *least* is the minimum length of a new password, in characters. *at_once* is the number of cores
    that bcrypt may use.

    Raises:
        ValueError: *cost* is out of range.
    """

    def __init__(
        self,
        cost: int = BCRYPT_COST,
        capacity: int = 100_000,
        *,
        least: int = MIN_PASSWORD_LENGTH,
        at_once: int = 2,
    ) -> None:
        if not 4 <= cost <= 14:
            raise ValueError(f"bcrypt cost {cost}: must be 4 to 14")
        self._cost = cost
        self._least = least
        self._capacity = capacity
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._lock = threading.Lock()
        self._cores = threading.BoundedSemaphore(at_once)
        # Verified against for an unknown user, so that the time does not reveal which users exist.
        self._nobody = bcrypt.gensalt(cost) + b"." * 31

    def hash(self, password: str) -> str:
        """Returns the bcrypt hash of *password*. Slow; blocks while *at_once* others are computed.

        Raises:
            BadPassword: it is too short, longer than 72 bytes, or holds a NUL.
        """
        if len(password) < self._least:
            raise BadPassword(f"password must have at least {self._least} characters")
        secret = _bytes(password)
        check_password(secret)
        with self._cores:
            return bcrypt.hashpw(secret, bcrypt.gensalt(self._cost)).decode("ascii")

    def outdated(self, user: User) -> bool:
        """Returns whether the user's hash has a lower cost than the configured one."""
        return _HASH.fullmatch(user.hash) is not None and int(user.hash[4:6]) < self._cost

    def rehash(self, user: User, password: str) -> str:
        """Returns the hash of the verified *password* of *user* at the configured cost. Slow.

        It keeps the salt, so that `same_password` still holds.
        """
        salt = f"$2b${self._cost:02}${user.hash[_SALT]}".encode("ascii")
        with self._cores:
            return bcrypt.hashpw(_bytes(password), salt).decode("ascii")

    def recall(self, user: User | None, password: str) -> bool:
        """Returns whether *password* is cached as verified for *user*. Takes microseconds, no
        bcrypt.
        """
        known = self._remembered.get(user.id) if user is not None else None
        return user is not None and known is not None and self._matches(known, user, password)

    def _matches(self, known: _Remembered, user: User, password: str) -> bool:
        """Returns whether *known* was made from *password*, and the user has it still."""
        digest = self._digest(user, _bytes(password))
        return hmac.compare_digest(known.digest, digest) and known.salt == user.hash[_SALT]

    def verify(self, user: User | None, password: str) -> bool:
        """Returns whether *password* is the user's, and caches it if so. Runs one bcrypt check.

        It takes as long if *user* is None. The result is then False.
        """
        secret = _bytes(password)
        known = user is not None and _HASH.fullmatch(user.hash) is not None
        sound = known and len(secret) <= LONGEST and b"\0" not in secret
        stored = user.hash.encode("ascii") if user is not None and sound else self._nobody
        with self._cores:
            matches = bcrypt.checkpw(secret[:LONGEST], stored)
        if not (user is not None and sound and matches):
            return False
        self._remember(user, secret)
        return True

    def _remember(self, user: User, secret: bytes) -> None:
        entry = _Remembered(self._digest(user, secret), user.hash[_SALT])
        with self._lock:
            self._remembered[user.id] = entry
            self._remembered.move_to_end(user.id)
            while len(self._remembered) > self._capacity:
                self._remembered.popitem(last=False)

    def _digest(self, user: User, secret: bytes) -> bytes:
        bound = user.id.encode() + b"\0" + secret
        return hashlib.blake2b(bound, key=self._key, digest_size=32).digest()


def check_password(secret: bytes) -> None:
    """Raises BadPassword if bcrypt would truncate *secret*."""
    if len(secret) > LONGEST:
        raise BadPassword(f"bcrypt: password length exceeds {LONGEST} bytes")
    if b"\0" in secret:
        raise BadPassword("password must not contain a NUL character")


def _bytes(password: str) -> bytes:
    # A login may hold invalid UTF-8, which arrives as surrogates and is restored here.
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return password.encode("utf-8", "surrogatepass")  # matches no user
