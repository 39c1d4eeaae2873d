"""Authenticates requests by the tokens of the issuers in `[auth.jwt]`."""

from functools import partial
from typing import TYPE_CHECKING

from headgate_engine import (
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    Principal,
    SignUpDisabled,
    TokenRights,
    User,
)
from headgate_server.auth.errors import TokenRejected
from headgate_server.auth.jwt.token_parser import TokenError
from headgate_server.background.thread_pool import FairThreadPool
from headgate_server.config.jwt import JwtSettings
from headgate_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from headgate_server.auth.jwt.issuers import IssuerRegistry


class IssuerTokenAuthenticator:
    """Verifies tokens of issuers. *pool* runs the changes of the user store."""

    def __init__(self, engine: Engine, metrics: Metrics, pool: FairThreadPool) -> None:
        self._engine, self._metrics, self._pool = engine, metrics, pool

    async def authenticate(self, issuers: "IssuerRegistry", token: str, address: str) -> Principal:
        """Returns the principal of an issuer's *token*, with the current admin flag and grants.

        If the user does not exist, creates the user. If the user's rights differ from those in the
        token, changes the rights in the user store. With `grant-sync = "ephemeral"` the rights in
        the token apply to this request only, and the user store keeps its own.

        Raises TokenRejected, NoRights, IdentityTaken, KeysUnavailable.
        """
        try:
            verified, known = await issuers.verify(token)
        except TokenError as error:
            raise TokenRejected(str(error)) from None
        self._metrics.lookup("token", known)
        identity, settings = verified.identity, verified.issuer.settings
        transient = settings.grant_sync == "ephemeral"
        rights = None if transient else verified.rights
        try:
            user = self._engine.find_provisioned(identity, rights) or await self._provision(
                identity, rights, address, settings
            )
        except IdentityDropped as error:
            raise TokenRejected(error.reason) from None
        transient_rights = verified.rights if transient else None
        if transient_rights is not None:
            user = self._engine.with_transient_grants(user, transient_rights)
        return Principal(
            user,
            "jwt",
            identity=identity,
            transient_rights=transient_rights,
            expires_at=int(verified.claims.get("exp") or 0),
        )

    async def _provision(
        self, identity: Identity, rights: TokenRights | None, address: str, settings: JwtSettings
    ) -> User:
        """Creates or changes the user of *identity* in a thread, and returns the user.

        *settings* may forbid to create users, or to give *identity* to an existing user of that
        name. In these cases, raises TokenRejected or IdentityTaken.
        """
        provision = partial(
            self._engine.provision,
            *(identity, rights, address),
            sign_up=settings.auto_sign_up,
            link=settings.adopt_existing,
        )
        try:
            return await self._pool.run(provision)
        except SignUpDisabled:
            raise TokenRejected("no user of this identity, and auto-sign-up is off") from None
        except IdentityTaken as error:
            if settings.auto_sign_up:
                raise
            # The same error as for an unknown name: the response must not reveal which names exist.
            raise TokenRejected(error.reason) from None


def create_issuers(
    settings: JwtSettings, previous: "IssuerRegistry | None" = None
) -> "IssuerRegistry | None":
    """Returns the issuers of *settings*, or None if they are disabled.

    *previous* is the registry that the new one replaces. Raises ValueError for invalid settings.
    """
    if not settings.enabled:
        return None
    # Imported on demand: the libraries of tokens take a fifth of a server's start.
    from headgate_server.auth.jwt.issuers import IssuerRegistry

    return IssuerRegistry(settings, previous=previous)
