"""An `AuthenticationBackend` that lets any Starlette application use Headgate's users."""

from collections.abc import Mapping, Sequence
from typing import Self

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
)
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from headgate_engine import (
    ANONYMOUS,
    AuthenticationFailed,
    Engine,
    IdentityTaken,
    Principal,
    StoreUnavailable,
)
from headgate_grammar import Privilege
from headgate_server.api.challenge import challenge
from headgate_server.api.error_statuses import ErrorStatus, client_message, error_status_for
from headgate_server.auth.authenticator import Authenticator
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import (
    KeysUnavailable,
    NoRights,
    TooManyFailures,
    Unauthenticated,
)
from headgate_server.auth.jwt.issuers import IssuerRegistry
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.settings import Settings
from headgate_server.http.errors import Overloaded
from headgate_server.http.urlencoded import parse_urlencoded
from headgate_server.telemetry.metrics import Metrics


class HeadgateUser(BaseUser):
    """`request.user` of an authenticated request; *principal* has the user's grants."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        """True: a request without credentials has no HeadgateUser."""
        return True

    @property
    def display_name(self) -> str:
        """The user's name."""
        return self.principal.name

    @property
    def identity(self) -> str:
        """The user's name."""
        return self.principal.name


class CredentialsNotChecked(AuthenticationError):
    """The credentials were not checked.

    The login is throttled, too many logins wait, or the user store or an issuer's keys are
    unavailable. Or a valid token gives no user or no role here.

    *error_status* has the status and the headers with which Headgate's server answers *error*.
    """

    def __init__(self, error: Exception, error_status: ErrorStatus) -> None:
        super().__init__(client_message(error, error_status))
        self.error_status = error_status


class HeadgateBackend(AuthenticationBackend):
    """Implements `AuthenticationBackend` for Starlette's AuthenticationMiddleware.

    Accepts the schemes Basic, Token and Bearer, and the URL's parameters `u` and `p`.

    A request without credentials stays anonymous. A request with invalid credentials is rejected:
    with 401, if you pass `on_error=HeadgateBackend.refuse` to the middleware. The scopes for
    `@requires` are `authenticated`, `admin`, `read:DATABASE` and `write:DATABASE`. An administrator
    has the scopes `read:` and `write:` for every database that exists. *shared_secret* verifies
    tokens; "" rejects them. *jwt* has the issuers of other tokens, as in `[auth.jwt]`.
    *throttle_status* is the status of throttled logins: 401, or 429 if the application's clients
    support it. `from_settings` takes all of them from a configuration file.
    """

    def __init__(
        self,
        engine: Engine,
        shared_secret: str | Sequence[str] = (),
        *,
        jwt: JwtSettings | None = None,
        throttle_status: int = 401,
    ) -> None:
        self._engine = engine
        self._throttle_status = throttle_status
        secrets = (shared_secret,) if isinstance(shared_secret, str) else shared_secret
        self._jwt = jwt if jwt is not None and jwt.enabled else None
        self._issuers = IssuerRegistry(self._jwt) if self._jwt is not None else None
        self._authenticator = Authenticator(
            engine, Metrics(), tuple(filter(None, secrets)), issuers=self._issuers
        )

    @classmethod
    def from_settings(cls, engine: Engine, settings: Settings) -> Self:
        """Returns a backend with the tokens and statuses of *settings*: see `configure`."""
        return cls(
            engine,
            settings.shared_secrets,
            jwt=settings.jwt,
            throttle_status=settings.throttle_status,
        )

    async def authenticate(
        self, conn: HTTPConnection
    ) -> tuple[AuthCredentials, HeadgateUser] | None:
        """Returns the scopes and the user of the request, or None if it has no credentials.

        Raises:
            AuthenticationError: invalid credentials, or there are no users.
            CredentialsNotChecked: the credentials are no wrong ones, but give no login now.
        """
        url = parse_urlencoded(conn.scope.get("query_string", b""))
        if not self._has_credentials(conn, url):
            return None
        try:
            address = conn.client.host if conn.client is not None else ""
            principal = await self._authenticator(
                RequestCredentials(url, conn.headers.getlist), address
            )
        except (Unauthenticated, AuthenticationFailed) as error:
            raise AuthenticationError(str(error)) from None
        except (
            *(Overloaded, TooManyFailures, StoreUnavailable),
            *(KeysUnavailable, NoRights, IdentityTaken),
        ) as error:
            error_status = error_status_for(error, throttle_status=self._throttle_status)
            assert error_status is not None
            raise CredentialsNotChecked(error, error_status) from None
        if principal == ANONYMOUS:
            raise AuthenticationError("there are no users yet")
        return AuthCredentials(self._scopes(principal)), HeadgateUser(principal)

    def _has_credentials(self, conn: HTTPConnection, url: Mapping[str, str]) -> bool:
        """Returns whether the request has a login or a token. *url* has the URL's parameters."""
        if conn.headers.get("authorization") or (url.get("u") and url.get("p")):
            return True
        return self._jwt is not None and bool(
            conn.headers.get(self._jwt.header_name)
            or (self._jwt.url_login and url.get("auth_token"))
        )

    def _scopes(self, principal: Principal) -> list[str]:
        user = principal.user
        assert user is not None
        scopes = ["authenticated"]
        if user.admin:
            scopes.append("admin")
            grants = {database.name: Privilege.ALL for database in self._engine.store.databases()}
        else:
            grants = dict(user.grants)
        for database, privilege in grants.items():
            if Privilege.READ in privilege:
                scopes.append(f"read:{database}")
            if Privilege.WRITE in privilege:
                scopes.append(f"write:{database}")
        return scopes

    def close(self) -> None:
        """Ends the threads that verify passwords. Logins that still wait are dropped."""
        self._authenticator.close()

    async def aclose(self) -> None:
        """Ends the threads, as `close` does, and the connections to issuers of tokens."""
        self.close()
        if self._issuers is not None:
            await self._issuers.close()

    @staticmethod
    def refuse(conn: HTTPConnection, error: Exception) -> Response:
        """Returns the response that rejects a login: 401 with the reason and a challenge.

        CredentialsNotChecked means that the login could not be verified, for example because of
        too many logins. Then the error itself has the status and headers, in `error_status`.
        """
        error_status = (
            error.error_status if isinstance(error, CredentialsNotChecked) else ErrorStatus(401)
        )
        headers = dict(error_status.headers)
        if error_status.status == 401:
            headers["WWW-Authenticate"] = challenge("Headgate")
        return JSONResponse({"error": str(error)}, error_status.status, headers)
