"""Authentication: from the credentials in a request to a principal."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from headgate_engine import (
    EVERYBODY,
    NOBODY,
    AuthenticationFailed,
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    Principal,
    Recent,
    Rights,
    SignUpDisabled,
    User,
    mark,
)
from headgate_server.auth.credentials import (
    Assertion,
    Credentials,
    NamePassword,
    Shown,
    TenantToken,
    Token,
)
from headgate_server.auth.credentials import credentials as read_credentials
from headgate_server.auth.errors import TokenRejected, TooManyFailures, Unauthenticated
from headgate_server.auth.jwt.claim_grants import NoRights
from headgate_server.auth.jwt.issuers import Issuers
from headgate_server.auth.jwt.jws import TokenError
from headgate_server.auth.jwt.key_source import KeysUnavailable
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.refusal_rate import Pace
from headgate_server.auth.shared_secret import Bearers, by_shared_secret
from headgate_server.auth.tenant_tokens import TenantLogin
from headgate_server.auth.throttle import Throttle
from headgate_server.background.thread_pool import Pool
from headgate_server.config.jwt import JwtSettings
from headgate_server.http.errors import Overloaded
from headgate_server.http.trusted_proxies import via
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.metrics import Metrics

# bcrypt takes a dozen passwords a second on a core: a client behind 64 others should retry.
_QUEUE = 64
_QUEUE_OF_USER = 4
_ADMIN_SECONDS = 60.0
_PRINCIPALS = 2048

_REFUSED = (
    *(Unauthenticated, AuthenticationFailed, TooManyFailures, Overloaded),
    *(NoRights, IdentityTaken, KeysUnavailable),
)

# Arguments: actor, address, statement, outcome.
Refused = Callable[[str, str, str, str], None]


def _unheard(actor: str, address: str, what: str, why: str) -> None:
    """Does nothing: the default of *refused*."""


# Address, name, and the password's digest: separate, as a name may hold any character.
_Tried = tuple[str, str, bytes]


class Login:
    """Authenticates by password or by token. Unless *enabled*, all requests are unrestricted.

    *refused* is called for every failed login.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        shared_secrets: Sequence[str] = (),
        *,
        issuers: Issuers | None = None,
        enabled: bool = True,
        throttle: Throttle | None = None,
        refused: Refused = _unheard,
        logins: KnownLogins | None = None,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        # Known clients do not wait for unknown ones. A network without a wrong password does not
        # wait for networks with one. Guesses at one user's password delay no other user.
        self._known_bcrypt = Pool(1, _QUEUE, metrics.bcrypt_pending, each=_QUEUE_OF_USER)
        self._bcrypt = Pool(
            1, 2 * _QUEUE, metrics.bcrypt_pending, share=_QUEUE, each=_QUEUE_OF_USER
        )
        self._logins = logins or KnownLogins(engine.store)
        self._bearers = Bearers(shared_secrets)
        self._issuers = issuers
        self._signing_in = Pool(1, _QUEUE)
        self._enabled = enabled
        self._throttle = throttle or Throttle()
        self._admin = "", 0.0  # an administrator's last address, when to record it again
        self._refused = refused
        self._pace = Pace()
        self._key = secrets.token_bytes(32)
        self._principals: Recent[str, Principal] = Recent(_PRINCIPALS)
        # Single flight: the same password from many connections costs one bcrypt.
        self._verifying: dict[_Tried, asyncio.Task[User]] = {}

    def take_tokens(self, shared_secrets: Sequence[str], issuers: Issuers | None) -> None:
        """Accepts these tokens from now on, and no others."""
        self._bearers = Bearers(shared_secrets)
        self._issuers = issuers

    async def __call__(
        self,
        request: Shown,
        address: str = "",
        tenants: TenantLogin | None = None,
        connection: str = "",
    ) -> Principal:
        """Authenticates *request* from *address*. Returns NOBODY while there are no users at all.

        If given, *tenants* accepts its tokens, too; *connection*, a proxy's address, is audited.

        Raises Unauthenticated, AuthenticationFailed, TooManyFailures; Overloaded if too many wait
        for bcrypt; for an issuer's token NoRights, IdentityTaken, KeysUnavailable.
        """
        if not self._enabled:
            return EVERYBODY
        shown: Credentials | TenantToken | None = None
        secret, issuers = bool(self._bearers.secrets), self._takes_bearers()
        try:
            if tenants is not None and (
                text := tenants.token(request, secret=secret, issuers=issuers)
            ):
                shown = TenantToken(text)
                principal = await tenants.principal(text)
                self._metrics.authentication(shown.method, "accepted")
                return principal
            carrier = self._issuers.settings if self._issuers is not None else None
            shown = read_credentials(request, carrier)
            if isinstance(shown, NamePassword) and (known := self._recall(shown, address)):
                self.count(known)
                return known
            principal = await self._prove_either(shown, address, tenants)
        except _REFUSED as error:
            if shown is None and self._engine.store.empty():
                return NOBODY
            origin = via(address, connection or address)
            self._tell(shown, bool(request.authorization), origin, error)
            if isinstance(error, TooManyFailures):
                await asyncio.sleep(self._pace.pause())
            raise
        if principal != NOBODY:
            self._metrics.authentication(shown.method, "accepted")
        return principal

    def known(self, request: Shown, address: str) -> Principal | None:
        """Returns the principal if that needs no bcrypt, no fetched keys and no new user, else
        None.

        Returns None for invalid credentials, too. Counts nothing: see `count`.
        """
        if not self._enabled:
            return EVERYBODY
        carrier = self._issuers.settings if self._issuers is not None else None
        try:
            shown = read_credentials(request, carrier)
            if isinstance(shown, NamePassword):
                return self._recall(shown, address)
            if isinstance(shown, Assertion):
                return None
            user = self._bearer(shown.text)
        except Unauthenticated:
            return None
        return Principal(user, shown.method)

    def was_let_in(self, name: str, address: str) -> bool:
        """Returns whether the user *name* has logged in by password from *address*."""
        user = self._engine.user(name)
        return user is not None and self._logins.was_let_in(mark(user), address)

    def count(self, known: Principal) -> None:
        """Counts the login of *known*, a result of `known`."""
        if known.method == "password":
            self._metrics.recalled()
        elif known.method:
            self._metrics.authentication(known.method, "accepted")

    def _tell(
        self,
        shown: Credentials | TenantToken | None,
        tried: bool,
        address: str,
        error: Exception,
    ) -> None:
        """Counts a failed login, and records it, unless no credentials were *tried*."""
        method = shown.method if shown is not None else "none"
        match error:
            case TooManyFailures():
                outcome, why = "throttled", "too many failed logins"
            case Overloaded():
                outcome, why = "overloaded", str(error)
            case KeysUnavailable():
                outcome, why = "unavailable", str(error)
            case Unauthenticated() if isinstance(shown, Token):
                # Without the part that differs between tokens: the audit counts equal records.
                outcome, why = "refused", str(error).partition(":")[0]
            case _:
                outcome, why = "refused", log_message(error)
        self._metrics.authentication(method, outcome)
        if shown is None and not tried:
            return
        name = ""
        if isinstance(shown, NamePassword):
            # An unknown name is not recorded: it may be a password in the wrong place.
            known = self._engine.user(shown.name) is not None
            name, why = (shown.name, why) if known else ("", f"{why}: no such user")
        self._refused(name, address, f"-- login ({method})", why)

    def _recall(self, shown: NamePassword, address: str) -> Principal | None:
        """Returns the principal if the password is cached, else None."""
        user = self._engine.user(shown.name)
        if user is None:
            return None
        known_here = self._logins.was_let_in(mark(user), address)
        if not known_here and self._throttle.waits(shown.name, address):
            return None
        if not self._engine.remembers(user, shown.password):
            return None
        if not known_here:
            return self._let_in(user, address)
        if user.admin and (address != self._admin[0] or time.monotonic() > self._admin[1]):
            self._throttle.admin_works(address)
            self._admin = address, time.monotonic() + _ADMIN_SECONDS
        # Reused while the user object is the same: any change of the user creates another.
        known = self._principals.get(user.id)
        if known is None or known.user is not user:
            known = Principal(user, "password")
            self._principals.keep(user.id, known)
        return known

    async def _prove_either(
        self, shown: Credentials, address: str, tenants: TenantLogin | None
    ) -> Principal:
        """Returns the principal by `_prove`; rejects a token left over by *tenants* with both
        reasons.

        While there are no users, only tokens of *tenants* are valid.
        """
        own = isinstance(shown, Assertion) and not self._takes_bearers()  # in another header
        if tenants is None or own or isinstance(shown, NamePassword):
            return await self._prove(shown, address)
        try:
            principal = await self._prove(shown, address)
        except TokenRejected as error:
            objection = await tenants.objection(shown.text)
            raise TokenRejected(f"{objection}; by [auth.jwt]: {error.reason}") from None
        if principal == NOBODY:
            raise TokenRejected(await tenants.objection(shown.text))
        return principal

    async def _prove(self, shown: Credentials, address: str) -> Principal:
        if self._engine.store.empty():
            return NOBODY
        match shown:
            case NamePassword():
                return self._let_in(await self._verified(shown, address), address)
            case Token(text):
                return Principal(self._bearer(text), "shared-secret")
            case Assertion(text) if self._bearers.secrets and self._is_ours(text):
                return Principal(self._bearer(text), "shared-secret")
            case Assertion(text):
                return await self._asserted(text, address)

    async def _verified(self, shown: NamePassword, address: str) -> User:
        """Returns the user after bcrypt, which concurrent equal attempts from an address share."""
        secret = shown.password.encode("utf-8", "surrogatepass")
        key = (address, shown.name, hmac.digest(self._key, secret, hashlib.sha256))
        task = self._verifying.get(key)
        if task is None:
            task = asyncio.ensure_future(self._begun(shown, address))
            self._verifying[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # A client that disconnects does not cancel the others.
        return await asyncio.shield(task)

    def _begun(self, shown: NamePassword, address: str) -> Coroutine[Any, Any, User]:
        """Starts an attempt. Raises TooManyFailures at once."""
        failed = self._throttle.has_failed(address)
        self._throttle.begin(shown.name, address)
        return self._try(shown, address, failed=failed)

    async def _try(self, shown: NamePassword, address: str, *, failed: bool) -> User:
        """Makes an attempt, which the throttle counts as failed until its outcome is known."""
        try:
            user = await self._verify(shown, address, failed=failed)
        except AuthenticationFailed:
            self._throttle.failed(address)
            raise
        except BaseException:
            self._throttle.undecided(shown.name, address)
            raise
        self._throttle.succeeded(shown.name, address)
        return user

    async def _verify(self, shown: NamePassword, address: str, *, failed: bool) -> User:
        """Returns the user by bcrypt. Raises AuthenticationFailed, Overloaded."""
        self._metrics.lookup("password", False)
        user = self._engine.user(shown.name)
        # Unknown names share one key in the queue.
        account = user.id if user is not None else ""
        authenticate = partial(self._engine.authenticate, shown.name, shown.password)
        with self._metrics.bcrypt():
            if user is not None and self._logins.was_let_in(mark(user), address):
                return await self._known_bcrypt.run(authenticate, ("known", account))
            return await self._bcrypt.run(authenticate, ("failed" if failed else "new", account))

    def _let_in(self, user: User, address: str) -> Principal:
        self._logins.let_in(user, address)
        if user.admin:
            self._throttle.admin_works(address)
        return Principal(user, "password")

    def _forget(self, key: _Tried, done: "asyncio.Task[User]") -> None:
        del self._verifying[key]
        if not done.cancelled():
            done.exception()  # marks it as retrieved, if no caller waits any more

    def _bearer(self, token: str) -> User:
        user = self._engine.user(self._bearers.username(token))
        if user is None:
            raise Unauthenticated("user not found")
        return user

    def _takes_bearers(self) -> bool:
        """Returns whether tokens of other issuers are in the header `Authorization`."""
        carrier = self._issuers.settings if self._issuers is not None else None
        return carrier is not None and carrier.header_name.lower() == "authorization"

    def _is_ours(self, token: str) -> bool:
        """Returns whether *token* is for the shared secret, if both kinds share a header."""
        return self._takes_bearers() and by_shared_secret(token)

    async def _asserted(self, token: str, address: str) -> Principal:
        """Returns the principal of a token; user, admin flag and grants are the current ones."""
        assert self._issuers is not None
        try:
            verified, known = await self._issuers.verify(token)
        except TokenError as error:
            raise TokenRejected(str(error)) from None
        self._metrics.lookup("token", known)
        identity, settings = verified.identity, verified.issuer.settings
        lends = settings.grant_sync == "ephemeral"
        rights = None if lends else verified.rights
        try:
            user = self._engine.recognize(identity, rights) or await self._signed_in(
                identity, rights, address, settings
            )
        except IdentityDropped as error:
            raise TokenRejected(error.reason) from None
        lent = verified.rights if lends else None
        if lent is not None:
            user = self._engine.lend(user, lent)
        return Principal(user, "jwt", identity=identity, lent=lent)

    async def _signed_in(
        self, identity: Identity, rights: Rights | None, address: str, settings: JwtSettings
    ) -> User:
        """Returns the user of *identity*, created or changed as *settings* allow, in a thread."""
        come_in = partial(
            self._engine.sign_in,
            *(identity, rights, address),
            sign_up=settings.auto_sign_up,
            adopt=settings.adopt_existing,
        )
        try:
            return await self._signing_in.run(come_in)
        except SignUpDisabled:
            raise TokenRejected("no user of this identity, and auto-sign-up is off") from None
        except IdentityTaken as error:
            if settings.auto_sign_up:
                raise
            # As for an unknown name: the response must not reveal which names exist.
            raise TokenRejected(error.reason) from None

    def close(self) -> None:
        """Ends the threads; waiting logins are dropped."""
        self._logins.close()
        self._known_bcrypt.close(0)
        self._bcrypt.close(0)
        self._signing_in.close(0)
