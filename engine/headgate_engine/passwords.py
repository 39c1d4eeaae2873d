"""Passwords: hashing, verifying, and remembering what was verified. Knows bcrypt."""

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

# The defaults, also of the server's settings; InfluxDB's cost is 10.
BCRYPT_COST = 10
MIN_PASSWORD_LENGTH = 0
# bcrypt looks at no more, and its other implementations cut without a word.
LONGEST = 72
# bcrypt would compute a stored cost of 31 for two days, and nothing could interrupt it.
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")


_SALT = slice(7, 29)


@dataclass(slots=True)
class _Remembered:
    digest: bytes = field(repr=False)
    salt: str = field(repr=False)


def same_password(one: User, other: User) -> bool:
    """Whether both are the same user with the same password, hashed at whatever cost.

    Every password that is set gets a salt of its own, and keeps it when it is hashed again.
    """
    return one.id == other.id and hmac.compare_digest(one.hash[_SALT], other.hash[_SALT])


def mark(user: User) -> str:
    """What is the same as long as *user* has the same password, and tells nothing of it."""
    return f"{user.id} {user.hash[_SALT]}"


class Passwords:
    """Hashes and verifies with bcrypt; a password verified once is recalled without bcrypt.

    What is remembered, as long as the process lives, is a keyed digest bound to the user's id and
    salt: it ends with the user and with the password. *cost* is bcrypt's (4 to 14; InfluxDB's is
    10), *capacity* how many users are remembered, *least* how many characters a new password must
    have, *at_once* how many cores bcrypt may take. May be used from several threads.
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
        # Verified against where there is no such user, so that both answers cost the same.
        self._nobody = bcrypt.gensalt(cost) + b"." * 31

    def hash(self, password: str) -> str:
        """The bcrypt hash of *password*, slowly.

        Raises BadPassword if it is too short, over 72 bytes, or has a NUL.
        """
        if len(password) < self._least:
            raise BadPassword(f"password must have at least {self._least} characters")
        secret = _bytes(password)
        check_password(secret)
        with self._cores:
            return bcrypt.hashpw(secret, bcrypt.gensalt(self._cost)).decode("ascii")

    def outdated(self, user: User) -> bool:
        """Whether the user's hash is a cheaper one than would be made now."""
        return _HASH.fullmatch(user.hash) is not None and int(user.hash[4:6]) < self._cost

    def rehash(self, user: User, password: str) -> str:
        """The hash of *password*, which is the user's, at the cost of today, slowly."""
        salt = f"$2b${self._cost:02}${user.hash[_SALT]}".encode("ascii")
        with self._cores:
            return bcrypt.hashpw(_bytes(password), salt).decode("ascii")

    def recall(self, user: User | None, password: str) -> bool:
        """Returns whether *password* was verified for *user* before, as far as that is remembered.

        Takes microseconds, and no bcrypt.
        """
        known = self._remembered.get(user.id) if user is not None else None
        return user is not None and known is not None and self._matches(known, user, password)

    def _matches(self, known: _Remembered, user: User, password: str) -> bool:
        """Whether that was the *user*'s *password*, and he has no other since."""
        digest = self._digest(user, _bytes(password))
        return hmac.compare_digest(known.digest, digest) and known.salt == user.hash[_SALT]

    def verify(self, user: User | None, password: str) -> bool:
        """Whether *password* is the user's, by bcrypt; as slow if *user* is None. Remembers it."""
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
    """Raises BadPassword for what bcrypt cannot keep whole."""
    if len(secret) > LONGEST:
        raise BadPassword(f"bcrypt: password length exceeds {LONGEST} bytes")
    if b"\0" in secret:
        raise BadPassword("password must not contain a NUL character")


def _bytes(password: str) -> bytes:
    # A login may hold bytes that are no UTF-8; they come as surrogates and go back as they were.
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return password.encode("utf-8", "surrogatepass")  # nobody's, but no reason to fail
