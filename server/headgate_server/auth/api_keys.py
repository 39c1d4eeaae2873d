"""Authenticates requests by API key."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

from headgate_engine import Engine, ImportedSecret, KeyRejected, Principal
from headgate_server.auth.credentials import KeyText
from headgate_server.auth.throttle import Throttle
from headgate_server.telemetry.metrics import Metrics

T = TypeVar("T")


class RunBcrypt(Protocol):
    """Runs a bcrypt computation in the queue of passwords: see `PasswordAuthenticator`."""

    async def __call__(self, work: Callable[[], T], account: str, /, *, failed: bool) -> T:
        """Returns the result of *work*."""
        ...


class KeyAuthenticator:
    """Verifies API keys. *throttle* counts the failures by keys of an address.

    A valid key never waits, except for the first use of an imported key: bcrypt verifies it by
    *run_bcrypt*, and it is delayed as a password is. Failures by keys delay no password: a program
    with a revoked key may have its address in common with people.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, throttle: Throttle, run_bcrypt: RunBcrypt
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._throttle = throttle
        self._run_bcrypt = run_bcrypt
        # Single flight: the first uses of a key from many connections cost one bcrypt.
        self._running: dict[tuple[str, bytes], asyncio.Task[bool]] = {}

    def check(self, key: KeyText) -> Principal:
        """Returns the principal of *key*. Raises AuthenticationFailed. Counts nothing.

        Rejects an imported key that was never used: only `authenticate` runs bcrypt.
        """
        return self._engine.api_keys.authenticate_hash(key.hash, key.username)

    async def authenticate(self, key: KeyText, address: str) -> Principal:
        """Returns the principal of *key*.

        Raises AuthenticationFailed, and TooManyFailures after many failures from *address*. A
        malformed key counts as no failure: it costs no look-up, and can be no key. For the first
        use of an imported key, also raises Overloaded, StoreUnavailable, OutcomeUnknown.
        """
        try:
            principal = self.check(key)
        except KeyRejected as error:
            if error.code == "unknown" and await self._is_first_use(key, address):
                return await self.authenticate(key, address)
            if error.code != "malformed":
                self._metrics.key_lookup(error.code)
                self._throttle.count_failure(address)
            raise
        self._metrics.key_lookup("good")
        return principal

    async def _is_first_use(self, key: KeyText, address: str) -> bool:
        """Returns True after the first use of an imported key, which is now in the store as others.

        Returns False without bcrypt if no such key has or had the text of *key*. Raises
        KeyRejected for a wrong secret, which the throttle has counted.
        """
        shown, hash = key.imported, key.hash
        if shown is None or hash is None:
            return False
        if not self._engine.imported_keys.is_unused(shown):
            # Another attempt may have verified this text since the look-up.
            return self._engine.imported_keys.is_settled(shown)
        task = self._running.get((address, hash))
        if task is None:
            task = asyncio.ensure_future(self._start_attempt(shown, address))
            self._running[address, hash] = task
            task.add_done_callback(lambda done: self._on_verified((address, hash), done))
        # A client that disconnects does not cancel the attempt: other clients may wait for it.
        if await asyncio.shield(task):
            return True
        self._metrics.key_lookup("unknown")
        raise KeyRejected("unknown")

    def _start_attempt(self, shown: ImportedSecret, address: str) -> Coroutine[Any, Any, bool]:
        """Counts an attempt in the throttle, and returns the coroutine that verifies *shown*.

        Raises TooManyFailures if the throttle delays the attempt.
        """
        failed = self._throttle.has_wrong_password(address)
        account = f"imported key {shown.number}"
        self._throttle.start_attempt(account, address)
        return self._attempt(shown, account, address, failed=failed)

    async def _attempt(
        self, shown: ImportedSecret, account: str, address: str, *, failed: bool
    ) -> bool:
        """Returns whether *shown* is the secret of an imported key. Until then, it counts as wrong.

        *failed* is whether a recent secret from *address* was wrong.
        """
        try:
            settle = partial(self._engine.imported_keys.settle, shown)
            settled = await self._run_bcrypt(settle, account, failed=failed)
        except BaseException:
            self._throttle.cancel_attempt(account, address)
            raise
        if settled:
            self._throttle.complete_attempt(account, address)
        else:
            self._throttle.fail_attempt(account, address)
        return settled

    def _on_verified(self, key: tuple[str, bytes], done: "asyncio.Task[bool]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # if no caller waits any more, asyncio would log the exception
