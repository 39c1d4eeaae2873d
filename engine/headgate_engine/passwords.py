"""Hashes and verifies passwords with bcrypt, and caches verified passwords in memory."""

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass, field

import bcrypt

from headgate_engine.errors import BadPassword
from headgate_engine.model.api_key import is_key_text
from headgate_engine.model.user import User, is_encodable
from headgate_grammar import GenerationalCache

# The defaults of `Passwords` and of the server's settings; InfluxDB's bcrypt cost is 10, too.
BCRYPT_COST = 10
MIN_PASSWORD_LENGTH = 0
# bcrypt uses the first 72 bytes only. Longer passwords are rejected, not silently truncated.
MAX_PASSWORD_BYTES = 72
# The cost in a hash may be 4 to 14. A cost of 31 would keep bcrypt busy for two days, without a way
# to interrupt it.
_HASH_PATTERN = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")

# The cost and the salt in a bcrypt hash.
_COST_SLICE = slice(4, 6)
_SALT_SLICE = slice(7, 29)


@dataclass(slots=True)
class _CachedPassword:
    """A verified password in the cache: its keyed digest, and the salt of the user's hash."""

    digest: bytes = field(repr=False)
    salt: str = field(repr=False)


def same_password_version(one: User, other: User) -> bool:
    """Returns whether *one* and *other* are the same user with the same password.

    The salts of the hashes are compared: each new password gets a new salt. A rehash of the same
    password at another bcrypt cost keeps the salt.
    """
    return one.id == other.id and same_salt(one.hash, other.hash)


def same_salt(one: str, other: str) -> bool:
    """Returns whether two bcrypt hashes have the same salt, which is random for each password."""
    return hmac.compare_digest(one[_SALT_SLICE], other[_SALT_SLICE])


def same_password(one: str, other: str) -> bool:
    """Returns whether two bcrypt hashes are of the same password, as far as hashes show it.

    Hashes of one cost are compared. Of two costs, an equal salt tells that one is a rehash.
    """
    if one[_COST_SLICE] == other[_COST_SLICE]:
        return hmac.compare_digest(one[_COST_SLICE.start :], other[_COST_SLICE.start :])
    return same_salt(one, other)


def password_version(user: User) -> str:
    """Returns the id and the salt of *user* as a text, which changes with each new password."""
    return f"{user.id} {user.hash[_SALT_SLICE]}"


class Passwords:
    """Hashes and verifies passwords with bcrypt, and caches verified passwords.

    The cache lives in memory and holds a keyed digest per user, bound to the user's id and salt. An
    entry therefore becomes invalid when the user is dropped or the password changes. Thread-safe.

    *cost* is the bcrypt cost, 4 to 14 (InfluxDB uses 10). The cache keeps at least the *max_users*
    most recently verified users, and at most twice as many. *min_length* is the minimum length of
    a new password, in characters. *max_concurrent* is the maximum number of concurrent bcrypt
    calls, each of which occupies a core.

    Raises:
        ValueError: *cost* is out of range.
    """

    def __init__(
        self,
        cost: int = BCRYPT_COST,
        max_users: int = 100_000,
        *,
        min_length: int = MIN_PASSWORD_LENGTH,
        max_concurrent: int = 2,
    ) -> None:
        if not 4 <= cost <= 14:
            raise ValueError(f"bcrypt cost {cost}: must be 4 to 14")
        self._cost = cost
        self._min_length = min_length
        self._key = secrets.token_bytes(32)
        self._cached: GenerationalCache[str, _CachedPassword] = GenerationalCache(2 * max_users)
        self._concurrency = threading.BoundedSemaphore(max_concurrent)
        # bcrypt checks this hash if the user is unknown. Otherwise the time of a login would reveal
        # which users exist.
        self._dummy_hash = bcrypt.gensalt(cost) + b"." * 31

    def hash(self, password: str) -> str:
        """Returns the bcrypt hash of *password*. Slow.

        Waits while `max_concurrent` other bcrypt calls run.

        Raises:
            BadPassword: *password* is too short, longer than 72 bytes, or holds a NUL or half a
                character, or begins as an API key does.
        """
        if len(password) < self._min_length:
            raise BadPassword(f"password must have at least {self._min_length} characters")
        if is_key_text(password):
            raise BadPassword("password must not look like an API key")
        if not is_encodable(password):
            raise BadPassword("password must be valid Unicode")
        secret = _encode(password)
        check_password(secret)
        with self._concurrency:
            return bcrypt.hashpw(secret, bcrypt.gensalt(self._cost)).decode("ascii")

    def needs_rehash(self, user: User) -> bool:
        """Returns whether the bcrypt hash of *user* has a lower cost than the configured cost."""
        return (
            _HASH_PATTERN.fullmatch(user.hash) is not None
            and int(user.hash[_COST_SLICE]) < self._cost
        )

    def rehash(self, user: User, password: str) -> str:
        """Returns a new hash of *password*, verified for *user*, at the configured cost. Slow.

        The new hash keeps the salt, so that `same_password_version` still returns True.
        """
        salt = f"$2b${self._cost:02}${user.hash[_SALT_SLICE]}".encode("ascii")
        with self._concurrency:
            return bcrypt.hashpw(_encode(password), salt).decode("ascii")

    def check_cached(self, user: User | None, password: str) -> bool:
        """Returns whether *password* is cached as verified for *user*; False if *user* is None.

        Takes microseconds; does not run bcrypt.
        """
        known = self._cached.get(user.id) if user is not None else None
        return user is not None and known is not None and self._matches(known, user, password)

    def _matches(self, known: _CachedPassword, user: User, password: str) -> bool:
        """Returns whether *known* was made from *password* and from the current hash of *user*."""
        digest = self._digest(user, _encode(password))
        return hmac.compare_digest(known.digest, digest) and known.salt == user.hash[_SALT_SLICE]

    def verify(self, user: User | None, password: str) -> bool:
        """Returns whether *password* is the password of *user*.

        Runs one bcrypt check, and caches a success.

        If *user* is None, returns False after the same time, which hides that the user is unknown.
        """
        secret = _encode(password)
        known = user is not None and _HASH_PATTERN.fullmatch(user.hash) is not None
        verifiable = known and len(secret) <= MAX_PASSWORD_BYTES and b"\0" not in secret
        stored = user.hash.encode("ascii") if user is not None and verifiable else self._dummy_hash
        with self._concurrency:
            matches = bcrypt.checkpw(secret[:MAX_PASSWORD_BYTES], stored)
        if not (user is not None and verifiable and matches):
            return False
        self.cache(user, password)
        return True

    def verify_secret(self, hash: str, secret: bytes) -> bool:
        """Returns whether *hash* is the bcrypt hash of *secret*, at most 72 bytes. Slow.

        Caches nothing. Waits while `max_concurrent` other bcrypt calls run.
        """
        if _HASH_PATTERN.fullmatch(hash) is None:
            return False
        with self._concurrency:
            return bcrypt.checkpw(secret, hash.encode("ascii"))

    def cache(self, user: User, password: str) -> None:
        """Caches *password* as verified for *user*, from whose hash the entry takes its salt."""
        digest = self._digest(user, _encode(password))
        entry = _CachedPassword(digest, user.hash[_SALT_SLICE])
        self._cached.put(user.id, entry)

    def _digest(self, user: User, secret: bytes) -> bytes:
        bound = user.id.encode() + b"\0" + secret
        return hashlib.blake2b(bound, key=self._key, digest_size=32).digest()


def check_password(secret: bytes) -> None:
    """Raises BadPassword if bcrypt would truncate or reject *secret*, an encoded password."""
    if len(secret) > MAX_PASSWORD_BYTES:
        raise BadPassword(f"bcrypt: password length exceeds {MAX_PASSWORD_BYTES} bytes")
    if b"\0" in secret:
        raise BadPassword("password must not contain a NUL character")


def check_hash(hash: str) -> None:
    """Raises BadPassword if *hash* is not a bcrypt hash with a cost of 4 to 14."""
    if _HASH_PATTERN.fullmatch(hash) is None:
        raise BadPassword("the password hash is not one of bcrypt with a cost of 4 to 14")


def _encode(password: str) -> bytes:
    # The bytes of a login may be invalid UTF-8. Such bytes arrive as surrogates, and are restored.
    try:
        return password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return password.encode("utf-8", "surrogatepass")  # matches no user
