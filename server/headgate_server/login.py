"""From what a request shows to whom it proves."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from headgate_engine import EVERYBODY, NOBODY, AuthenticationFailed, Engine, Principal, User
from headgate_server.credentials import Credentials, NamePassword, Token
from headgate_server.credentials import credentials as read_credentials
from headgate_server.form import Pairs
from headgate_server.metrics import Metrics
from headgate_server.pace import Pace
from headgate_server.pool import Pool
from headgate_server.refusals import Overloaded, TooManyFailures, Unauthenticated
from headgate_server.throttle import Throttle
from headgate_server.tokens import username

# bcrypt does a dozen a second on a core: who stands behind 64 others is better told to come again.
_QUEUE = 64

# Actor, address, what, and why not.
Refused = Callable[[str, str, str, str], None]


def _unheard(actor: str, address: str, what: str, why: str) -> None:
    """Nobody keeps a record."""


# Address, name, and the password's digest: apart, for a name may hold any character.
_Shown = tuple[str, str, bytes]


class Login:
    """Logs in by password or by token. With *enabled* false everybody may do everything.

    *refused* hears of every failed login.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        shared_secret: str = "",
        *,
        enabled: bool = True,
        throttle: Throttle | None = None,
        refused: Refused = _unheard,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._bcrypt = Pool(1, _QUEUE, metrics.bcrypt_pending)
        self._shared_secret = shared_secret
        self._enabled = enabled
        self._throttle = throttle or Throttle()
        self._refused = refused
        self._pace = Pace()
        self._key = secrets.token_bytes(32)
        # What is being verified now: the same password from many connections costs one bcrypt.
        self._verifying: dict[_Shown, asyncio.Task[User]] = {}

    async def __call__(self, url: Pairs, authorization: str, address: str = "") -> Principal:
        """Whom the request from *address* proves; NOBODY while there are no users at all.

        Raises Unauthenticated, AuthenticationFailed; TooManyFailures to who guesses; Overloaded if
        too many wait for bcrypt.
        """
        if not self._enabled:
            return EVERYBODY
        shown: Credentials | None = None
        try:
            shown = read_credentials(url, authorization)
            principal = self._recall(shown) or await self._prove(shown, address)
        except (Unauthenticated, AuthenticationFailed, TooManyFailures, Overloaded) as error:
            if shown is None and self._engine.store.empty():
                return NOBODY
            self._tell(shown, bool(authorization), address, error)
            if isinstance(error, TooManyFailures):
                await asyncio.sleep(self._pace.pause())
            raise
        if principal != NOBODY:
            self._metrics.authentication(shown.method, "accepted")
        return principal

    def _tell(self, shown: Credentials | None, tried: bool, address: str, error: Exception) -> None:
        """Counts a failed login, and has it recorded, unless nothing was *tried*."""
        method = shown.method if shown is not None else "none"
        match error:
            case TooManyFailures():
                outcome, why = "throttled", "too many failed logins"
            case Overloaded():
                outcome, why = "overloaded", str(error)
            case _:
                outcome, why = "refused", str(error)
        self._metrics.authentication(method, outcome)
        if shown is None and not tried:
            return
        name = ""
        if isinstance(shown, NamePassword):
            # A name that nobody has is not written down: it may be a password in the wrong place.
            known = self._engine.user(shown.name) is not None
            name, why = (shown.name, why) if known else ("", f"{why}: no such user")
        self._refused(name, address, f"-- login ({method})", why)

    def _recall(self, shown: Credentials) -> Principal | None:
        """The short way: a password that was verified lately."""
        if not isinstance(shown, NamePassword):
            return None
        user = self._engine.recall(shown.name, shown.password)
        self._metrics.lookup("password", user is not None)
        return Principal(user, "password") if user is not None else None

    async def _prove(self, shown: Credentials, address: str) -> Principal:
        if self._engine.store.empty():
            return NOBODY
        match shown:
            case NamePassword():
                return Principal(await self._verified(shown, address), "password")
            case Token(text):
                return Principal(self._bearer(text), "shared-secret")

    async def _verified(self, shown: NamePassword, address: str) -> User:
        """By bcrypt, and by one for all who show the same from the same place at the same time."""
        secret = shown.password.encode("utf-8", "surrogatepass")
        key = (address, shown.name, hmac.digest(self._key, secret, hashlib.sha256))
        task = self._verifying.get(key)
        if task is None:
            task = asyncio.ensure_future(self._begun(shown, address))
            self._verifying[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # One client that leaves takes nothing from the others.
        return await asyncio.shield(task)

    def _begun(self, shown: NamePassword, address: str) -> Coroutine[Any, Any, User]:
        """Raises TooManyFailures at once."""
        if self._engine.verified(shown.name, shown.password):
            # Who was let in before does not guess: nobody can make him wait.
            return self._verify(shown)
        self._throttle.begin(shown.name, address)
        return self._try(shown, address)

    async def _try(self, shown: NamePassword, address: str) -> User:
        """A try that the throttle counts as failed until it is known better."""
        try:
            user = await self._verify(shown)
        except AuthenticationFailed:
            raise
        except BaseException:
            self._throttle.undecided(shown.name, address)
            raise
        self._throttle.succeeded(shown.name, address)
        return user

    async def _verify(self, shown: NamePassword) -> User:
        with self._metrics.bcrypt():
            return await self._bcrypt.run(self._engine.authenticate, shown.name, shown.password)

    def _forget(self, key: _Shown, done: "asyncio.Task[User]") -> None:
        del self._verifying[key]
        if not done.cancelled():
            done.exception()  # whoever waited has heard it; if nobody did, nobody needs to

    def _bearer(self, token: str) -> User:
        user = self._engine.user(username(token, self._shared_secret))
        if user is None:
            raise Unauthenticated("user not found")
        return user

    def close(self) -> None:
        """Ends the thread; logins that wait for it are dropped."""
        self._bcrypt.close(0)
