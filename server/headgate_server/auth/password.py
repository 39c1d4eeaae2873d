"""Authentication by password: checks the throttle, and verifies passwords by bcrypt in threads.

Equal concurrent logins share one bcrypt computation (single flight).
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from headgate_engine import (
    AuthenticationFailed,
    Engine,
    Principal,
    User,
    password_version,
)
from headgate_grammar import GenerationalCache
from headgate_server.auth.credentials import Password
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.throttle import Throttle
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.telemetry.metrics import Metrics

T = TypeVar("T")

# bcrypt verifies a dozen passwords a second on a core. A login behind 64 other logins would wait
# for 5 seconds: the client should retry instead.
_MAX_QUEUED_LOGINS = 64
_MAX_QUEUED_LOGINS_PER_USER = 4
_ADMIN_RECORD_SECONDS = 60.0
_MAX_CACHED_PRINCIPALS = 2048

# Address, name, and the password's digest. A tuple, because a name may contain any separator.
_AttemptKey = tuple[str, str, bytes]


class PasswordAuthenticator:
    """Authenticates users by password.

    *throttle* delays the guessing of passwords. *logins* has the networks from which each user has
    logged in. Logins from these networks have a bcrypt queue of their own.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, throttle: Throttle, logins: KnownLogins
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._throttle = throttle
        self._logins = logins
        # Known clients do not wait for unknown clients. Networks without a wrong password do not
        # wait for networks with wrong passwords. Guesses at a user's password delay no other user.
        self._known_client_bcrypt = FairThreadPool(
            1,
            _MAX_QUEUED_LOGINS,
            metrics.bcrypt_pending,
            max_queued_per_key=_MAX_QUEUED_LOGINS_PER_USER,
        )
        self._bcrypt = FairThreadPool(
            1,
            2 * _MAX_QUEUED_LOGINS,
            metrics.bcrypt_pending,
            max_queued_per_group=_MAX_QUEUED_LOGINS,
            max_queued_per_key=_MAX_QUEUED_LOGINS_PER_USER,
        )
        # Address of an administrator's last login, and when to record it again.
        self._last_admin = "", 0.0
        self._digest_key = secrets.token_bytes(32)
        self._principals: GenerationalCache[str, Principal] = GenerationalCache(
            _MAX_CACHED_PRINCIPALS
        )
        # Single flight: the same password from many connections costs one bcrypt.
        self._running_verifications: dict[_AttemptKey, asyncio.Task[User]] = {}

    def is_known_client(self, name: str, address: str) -> bool:
        """Returns whether user *name* has logged in by password from the network of *address*."""
        user = self._engine.user(name)
        return user is not None and self._logins.is_known_client(password_version(user), address)

    def check_cached(self, password: Password, address: str) -> Principal | None:
        """Returns the principal if *password* is in the cache of verified passwords.

        Returns None if it is not in the cache, or if the throttle delays the login.
        """
        user = self._engine.active_user(password.name)
        if user is None:
            return None
        known_here = self._logins.is_known_client(password_version(user), address)
        if not known_here and self._throttle.is_throttled(password.name, address):
            return None
        if password.verified is not user:
            if not self._engine.check_cached(user, password.password):
                return None
            password.verified = user
        if not known_here:
            return self._record_success(user, address)
        if user.admin and (
            address != self._last_admin[0] or time.monotonic() > self._last_admin[1]
        ):
            self._throttle.record_admin(address)
            self._last_admin = address, time.monotonic() + _ADMIN_RECORD_SECONDS
        # The principal is reused while its user object is the same: a changed user is a new object.
        known = self._principals.get(user.id)
        if known is None or known.user is not user:
            known = Principal(user, "password")
            self._principals.put(user.id, known)
        return known

    async def authenticate(self, password: Password, address: str) -> Principal:
        """Verifies *password* by bcrypt, and returns the principal of its user.

        Raises AuthenticationFailed for a wrong name or password, TooManyFailures if the throttle
        delays the login, and Overloaded if too many logins wait.
        """
        return self._record_success(await self._verify_once(password, address), address)

    async def _verify_once(self, password: Password, address: str) -> User:
        """Verifies *password*, and returns its user.

        Equal attempts from one address that run at the same time share one bcrypt computation.
        """
        secret = password.password.encode("utf-8", "surrogatepass")
        key = (address, password.name, hmac.digest(self._digest_key, secret, hashlib.sha256))
        task = self._running_verifications.get(key)
        if task is None:
            task = asyncio.ensure_future(self._start_attempt(password, address))
            self._running_verifications[key] = task
            task.add_done_callback(lambda done: self._on_verified(key, done))
        # A client that disconnects does not cancel the attempt: other clients may wait for it.
        return await asyncio.shield(task)

    def _start_attempt(self, password: Password, address: str) -> Coroutine[Any, Any, User]:
        """Counts an attempt in the throttle, and returns the coroutine that verifies the password.

        Raises TooManyFailures if the throttle delays the login.
        """
        failed = self._throttle.has_wrong_password(address)
        self._throttle.start_attempt(password.name, address)
        return self._attempt(password, address, failed=failed)

    async def _attempt(self, password: Password, address: str, *, failed: bool) -> User:
        """Verifies the password, and tells the throttle whether the attempt succeeded.

        Until then, the throttle counts the attempt as failed.

        *failed* is whether a recent password from *address* was wrong.
        """
        try:
            user = await self._verify_password(password, address, failed=failed)
        except AuthenticationFailed:
            self._throttle.fail_attempt(password.name, address)
            raise
        except BaseException:
            self._throttle.cancel_attempt(password.name, address)
            raise
        self._throttle.complete_attempt(password.name, address)
        return user

    async def _verify_password(self, password: Password, address: str, *, failed: bool) -> User:
        """Verifies *password* by bcrypt, and returns its user.

        If *failed* is True, the attempt waits in another group of the bcrypt queue. So it does not
        delay attempts from networks without a wrong password. Raises AuthenticationFailed,
        Overloaded.
        """
        self._metrics.lookup("password", False)
        user = self._engine.user(password.name)
        # Unknown names share one key in the queue.
        account = user.id if user is not None else ""
        authenticate = partial(self._engine.authenticate, password.name, password.password)
        with self._metrics.bcrypt():
            if user is not None and self._logins.is_known_client(password_version(user), address):
                return await self._known_client_bcrypt.run(authenticate, ("known", account))
            return await self._bcrypt.run(authenticate, ("failed" if failed else "new", account))

    async def run_bcrypt(self, work: Callable[[], T], account: str, *, failed: bool) -> T:
        """Runs *work*, one bcrypt computation, in the queue of clients that are not known.

        The calls of different *account*s take turns. With *failed*, the call waits in the group of
        networks with wrong passwords. Raises Overloaded, and what *work* raises.
        """
        with self._metrics.bcrypt():
            return await self._bcrypt.run(work, ("failed" if failed else "new", account))

    def _record_success(self, user: User, address: str) -> Principal:
        self._logins.remember_client(user, address)
        if user.admin:
            self._throttle.record_admin(address)
        return Principal(user, "password")

    def _on_verified(self, key: _AttemptKey, done: "asyncio.Task[User]") -> None:
        del self._running_verifications[key]
        if not done.cancelled():
            done.exception()  # if no caller waits any more, asyncio would log the exception

    def close(self) -> None:
        """Stores the known logins and ends the threads. Logins that still wait are dropped."""
        self._logins.close()
        self._known_client_bcrypt.close(0)
        self._bcrypt.close(0)
