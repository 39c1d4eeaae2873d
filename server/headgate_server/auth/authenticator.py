"""Verifies the credentials of a request, and returns its principal: the user and the rights."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from headgate_engine import (
    ANONYMOUS,
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    IdentityTaken,
    Principal,
    is_key_text,
)
from headgate_server.auth.api_keys import KeyAuthenticator
from headgate_server.auth.credentials import (
    Credentials,
    IssuerToken,
    KeyText,
    Password,
    RequestCredentials,
    SessionCookie,
    SharedSecretToken,
    TenantToken,
    read_credentials,
)
from headgate_server.auth.errors import (
    DirectoryUnavailable,
    KeysUnavailable,
    NoRights,
    TokenRejected,
    TooManyFailures,
    Unauthenticated,
)
from headgate_server.auth.issuer_tokens import IssuerTokenAuthenticator
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.login_ways import LoginWays
from headgate_server.auth.password import PasswordAuthenticator
from headgate_server.auth.password_login import authenticate_password
from headgate_server.auth.proxy_user import ProxyUser
from headgate_server.auth.refusal_rate import RefusalRateLimiter
from headgate_server.auth.session_cookies import SessionAuthenticator
from headgate_server.auth.shared_secret_login import SharedSecretAuthenticator
from headgate_server.auth.throttle import Throttle
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.background.usage_writer import UsageWriter
from headgate_server.http.errors import Overloaded
from headgate_server.http.trusted_proxies import address_with_peer
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import log_error
from headgate_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from headgate_server.auth.jwt.issuers import IssuerRegistry
    from headgate_server.auth.tenant_tokens import TenantTokenVerifier

_MAX_QUEUED_PROVISIONINGS = 64

_AUTHENTICATION_ERRORS = (
    *(Unauthenticated, AuthenticationFailed, TooManyFailures, Overloaded),
    *(NoRights, IdentityTaken, KeysUnavailable, DirectoryUnavailable),
)

# Arguments: actor, address, statement, outcome.
RecordDenied = Callable[[str, str, str, str], None]


def _no_op(actor: str, address: str, statement: str, outcome: str) -> None:
    """Stands in for `record_denied` if the caller passes none: records no failed login."""


class Authenticator:
    """Authenticates requests by password or by token.

    *shared_secrets* are the keys that verify tokens as in InfluxDB 1.x. *issuers* verifies tokens
    of the issuers in `[auth.jwt]`. *throttle* delays logins after failures. *logins* has the
    networks from which users have logged in. *record_denied* writes a failed login to the audit
    log. *usage* stores the last uses. *ways* has further ways to log in.

    If *enabled* is False (`auth-enabled = false`), every request has all rights. With
    *password_ends_tokens* a token of the shared secret must be newer than its user's password; a
    token without `iat` has no time to compare.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        shared_secrets: Sequence[str] = (),
        *,
        issuers: "IssuerRegistry | None" = None,
        enabled: bool = True,
        password_ends_tokens: bool = True,
        throttle: Throttle | None = None,
        record_denied: RecordDenied = _no_op,
        logins: KnownLogins | None = None,
        usage: UsageWriter | None = None,
        ways: LoginWays | None = None,
    ) -> None:
        self._engine = engine
        self._usage = usage or UsageWriter(engine, log_error)
        throttle = throttle or Throttle()
        self._sessions = SessionAuthenticator(engine, metrics)
        self._metrics = metrics
        self._passwords = PasswordAuthenticator(
            engine, metrics, throttle, logins or KnownLogins(engine.store)
        )
        self._keys = KeyAuthenticator(
            engine, metrics, throttle.separate(), self._passwords.run_bcrypt
        )
        self._shared_secrets = SharedSecretAuthenticator(
            engine, shared_secrets, password_ends_tokens=password_ends_tokens
        )
        self._issuers = issuers
        self._provisioning = FairThreadPool(1, _MAX_QUEUED_PROVISIONINGS)
        self._issuer_tokens = IssuerTokenAuthenticator(engine, metrics, self._provisioning)
        self._throttle = throttle
        self._ways = ways or LoginWays()
        self._enabled = enabled
        self._record_denied = record_denied
        self._refusal_limiter = RefusalRateLimiter()

    def reconfigure(
        self, shared_secrets: Sequence[str], issuers: "IssuerRegistry | None", ways: LoginWays
    ) -> None:
        """Replaces the shared secrets, the issuers and the ways to log in, after a reload.

        From then on, only tokens of the new secrets and issuers are accepted.
        """
        self._shared_secrets.replace_secrets(shared_secrets)
        self._issuers = issuers
        self._ways.close()
        self._ways = ways

    @property
    def ways(self) -> LoginWays:
        """The ways to log in beside passwords, keys, tokens and sessions."""
        return self._ways

    async def __call__(
        self,
        request: RequestCredentials,
        address: str = "",
        tenants: "TenantTokenVerifier | None" = None,
        peer: str = "",
    ) -> Principal:
        """Returns the principal of *request*, which the client at *address* has sent.

        Returns ANONYMOUS while the user store has no users. *tenants* verifies tokens that name a
        tenant of an upstream store; None accepts no such tokens. *peer* is the address at the other
        end of the connection: for example, the address of a proxy. The audit log also names *peer*.

        Raises Unauthenticated for missing or invalid credentials, and AuthenticationFailed for a
        wrong name or password. Raises TooManyFailures if the throttle delays the login, and
        Overloaded if too many logins wait. For an issuer's token, also raises NoRights,
        IdentityTaken or KeysUnavailable.
        """
        if not self._enabled:
            return UNRESTRICTED
        credentials: Credentials | TenantToken | None = None
        try:
            if tenants is not None:
                text = tenants.find_token(
                    request,
                    secret=self._shared_secrets.is_enabled,
                    issuers=self._issuer_tokens_in_authorization(),
                )
                if text and not is_key_text(text):
                    credentials = TenantToken(text)
                    principal = await tenants.authenticate(text)
                    self._metrics.authentication(credentials.method, "accepted")
                    return principal
            location = self._issuers.settings if self._issuers is not None else None
            credentials = read_credentials(request, location)
            if isinstance(credentials, Password) and (
                known := self._check_cached_password(credentials, address)
            ):
                self.count_cached(known)
                self._usage.record(known, address)
                return known
            if isinstance(credentials, SessionCookie):
                shown = self._sessions.check(credentials)
                shown = shown or await self._sessions.authenticate(credentials, address)
                self._usage.record_session(shown)
                request.session, principal = shown, shown.principal
            else:
                principal = await self._authenticate_with_tenants(
                    credentials, address, tenants, request
                )
        except _AUTHENTICATION_ERRORS as error:
            if credentials is None and self._engine.store.empty():
                return ANONYMOUS
            if credentials is None and (guest := self._guest(request)) is not None:
                return guest
            origin = address_with_peer(address, peer or address)
            request.failed_user = self.record_failure(
                credentials, bool(request.authorization), origin, error
            )
            if isinstance(error, TooManyFailures):
                await asyncio.sleep(self._refusal_limiter.delay())
            raise
        if principal != ANONYMOUS:
            self._metrics.authentication(credentials.method, "accepted")
            self._usage.record(principal, address)
        return principal

    def _guest(self, request: RequestCredentials) -> Principal | None:
        """Returns the principal of *request*, which shows no login at all; None: not accepted."""
        if self._ways.anonymous is None or not request.accepts_guest or not request.is_empty():
            return None
        guest = self._ways.anonymous.principal()
        if guest is not None:
            self._metrics.authentication("anonymous", "accepted")
        return guest

    def check_cached(self, request: RequestCredentials, address: str) -> Principal | None:
        """Returns the principal of *request* if no step of the login has to wait, else None.

        Returns None in three cases:

        - bcrypt has to verify the password, or the throttle delays the login;
        - the token is from an issuer in `[auth.jwt]`, or in a cookie;
        - the credentials are missing or invalid.

        The caller counts the login in the metrics: see `count_cached`.
        """
        if not self._enabled:
            return UNRESTRICTED
        location = self._issuers.settings if self._issuers is not None else None
        try:
            credentials = read_credentials(request, location)
            if isinstance(credentials, Password):
                return self._check_cached_password(credentials, address)
            if isinstance(credentials, IssuerToken | SessionCookie | ProxyUser):
                return None
            if isinstance(credentials, KeyText):
                return self._keys.check(credentials)
            return self._shared_secrets.principal(credentials.text)
        except (Unauthenticated, AuthenticationFailed):
            return None

    def _check_cached_password(self, shown: Password, address: str) -> Principal | None:
        """Returns the principal of *shown* if it needs no bcrypt, and its name is not refused."""
        if not self._ways.passwords:
            return None
        if self._ways.attempts.is_refused(shown.name):
            if not self._passwords.is_known_client(shown.name, address):
                return None
        return self._passwords.check_cached(shown, address)

    def is_known_client(self, name: str, address: str) -> bool:
        """Returns whether user *name* has logged in by password from the network of *address*."""
        return self._passwords.is_known_client(name, address)

    def count_cached(self, known: Principal) -> None:
        """Counts the login of *known*, a result of `check_cached`, in the metrics."""
        if known.method == "password":
            self._metrics.count_cached_login()
        elif known.method:
            self._metrics.authentication(known.method, "accepted")

    def record_failure(
        self,
        credentials: Credentials | TenantToken | None,
        attempted: bool,
        address: str,
        error: Exception,
    ) -> str:
        """Counts a failed login in the metrics, and writes it to the audit log.

        Returns the name of the user, or "" if there is no such user.

        *attempted* is True if the request had the header `Authorization`. *credentials* is None if
        no credentials could be read: then the audit log has the login only if *attempted* is True.
        *address* is the client's address for the audit log. *error* is the reason of the failure.
        """
        method = credentials.method if credentials is not None else "none"
        match error:
            case TooManyFailures():
                outcome, why = "throttled", "too many failed logins"
            case Overloaded():
                outcome, why = "overloaded", str(error)
            case KeysUnavailable() | DirectoryUnavailable():
                outcome, why = "unavailable", str(error)
            case Unauthenticated() if isinstance(credentials, SharedSecretToken):
                # Without the part that differs between tokens: the audit counts equal records.
                outcome, why = "refused", str(error).partition(":")[0]
            case _:
                outcome, why = "refused", log_message(error)
        self._metrics.authentication(method, outcome)
        if credentials is None and not attempted:
            return ""
        name = ""
        if isinstance(credentials, Password):
            # An unknown name is not recorded: it may be a password, typed in the wrong field.
            known = self._engine.user(credentials.name) is not None
            name, why = (credentials.name, why) if known else ("", f"{why}: no such user")
        elif isinstance(credentials, ProxyUser) and self._engine.user(credentials.name) is not None:
            name = credentials.name
        self._record_denied(name, address, f"-- login ({method})", why)
        return name

    async def _authenticate_with_tenants(
        self,
        credentials: Credentials,
        address: str,
        tenants: "TenantTokenVerifier | None",
        request: RequestCredentials,
    ) -> Principal:
        """Returns the principal of *credentials*, after *tenants* has found no tenant token.

        If `[auth.jwt]` rejects a token, the log has two reasons: why the token is no valid tenant
        token, and why `[auth.jwt]` rejects it. While the user store has no users, a token in
        `Authorization` that is no tenant token is rejected.
        """
        # The token is in the header that `[auth.jwt]` names, which *tenants* does not read.
        own = isinstance(credentials, IssuerToken) and not self._issuer_tokens_in_authorization()
        if (
            tenants is None
            or own
            or isinstance(credentials, Password | KeyText | SessionCookie | ProxyUser)
        ):
            return await self._authenticate(credentials, address, request)
        try:
            principal = await self._authenticate(credentials, address, request)
        except TokenRejected as error:
            objection = await tenants.rejection_reason(credentials.text)
            raise TokenRejected(f"{objection}; by [auth.jwt]: {error.reason}") from None
        if principal == ANONYMOUS:
            raise TokenRejected(await tenants.rejection_reason(credentials.text))
        return principal

    async def _authenticate(
        self, credentials: Credentials, address: str, request: RequestCredentials
    ) -> Principal:
        if self._engine.store.empty():
            return ANONYMOUS
        match credentials:
            case Password():
                return await authenticate_password(
                    credentials, address, request, self._ways, self._passwords, self._throttle
                )
            case ProxyUser():
                if self._ways.proxy is None:
                    raise Unauthenticated("authorization failed")
                return await self._ways.proxy.authenticate(credentials, address)
            case KeyText():
                return await self._keys.authenticate(credentials, address)
            case SessionCookie():
                raise Unauthenticated("unable to parse authentication credentials")
            case SharedSecretToken(text):
                return self._shared_secrets.principal(text)
            case IssuerToken(text) if (
                self._shared_secrets.is_enabled and self._is_shared_secret_token(text)
            ):
                return self._shared_secrets.principal(text)
            case IssuerToken(text):
                assert self._issuers is not None
                return await self._issuer_tokens.authenticate(self._issuers, text, address)

    def _issuer_tokens_in_authorization(self) -> bool:
        """Returns whether `[auth.jwt]` names `Authorization` as the header with issuers' tokens."""
        location = self._issuers.settings if self._issuers is not None else None
        return location is not None and location.header_name.lower() == "authorization"

    def _is_shared_secret_token(self, token: str) -> bool:
        """Returns whether the shared secret must verify *token*, not the key of an issuer.

        *token* came in the header of `[auth.jwt]`. If that is not `Authorization`, returns False:
        only `Authorization` can have both kinds of tokens.
        """
        from headgate_server.auth.shared_secret import is_shared_secret_token  # loaded already

        return self._issuer_tokens_in_authorization() and is_shared_secret_token(token)

    def close(self) -> None:
        """Ends the threads that verify passwords and create users. Drops logins that still wait."""
        self._passwords.close()
        self._sessions.close()
        self._ways.close()
        self._provisioning.close(0)
