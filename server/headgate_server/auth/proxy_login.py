"""Authenticates the users that a proxy in front names: the identity `proxy`, its rights."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from headgate_engine import (
    AuthenticationFailed,
    Engine,
    Identity,
    IdentityTaken,
    Principal,
    ProvisioningPolicy,
    SignUpDisabled,
    User,
)
from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import LoginRefused, refusal_of
from headgate_server.auth.jwt.claim_grants import ClaimMapper
from headgate_server.auth.proxy_user import ProxyUser
from headgate_server.auth.sign_up import first_rights
from headgate_server.config.settings import Settings

ISSUER = "proxy"
_MAX_SYNCED = 10_000


class ProxyLogin:
    """Authenticates by the headers of `[auth.proxy]` in *settings*. *run* runs work in a thread."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        proxy = settings.proxy
        self._engine, self._run = engine, run
        self._mapper = ClaimMapper(proxy.rights)
        self._policy = ProvisioningPolicy(
            sign_up=proxy.allow_sign_up,
            link=proxy.adopt_existing,
            protected=frozenset(settings.protected_roles)  # type: ignore[arg-type]
            if settings.protected_roles is not None
            else None,
            first_rights=first_rights(settings),
            syncs_profile=True,
        )
        # The headers that were synced last, for a while: a request writes only what is new.
        self._synced: GenerationalCache[ProxyUser, bool] = GenerationalCache(
            _MAX_SYNCED, proxy.sync_ttl
        )

    async def authenticate(self, shown: ProxyUser, address: str) -> Principal:
        """Returns the principal of *shown*. *address* is the client's, for the audit log.

        Raises LoginRefused if the header proves nothing or the user may not log in. Raises
        AuthenticationFailed and NoRights.
        """
        if shown.fault:
            raise LoginRefused(shown.fault)
        identity = Identity(
            ISSUER,
            shown.name,
            shown.name,
            shown.email,
            shown.full_name,
            self._engine.sessions.now(),
            bool(shown.email),
            "proxy",
        )
        user: User | None = None
        if self._synced.get(shown):
            user = self._engine.store.user_by_identity(ISSUER, shown.name)
            if user is not None and not user.is_active:
                raise AuthenticationFailed
        if user is None:
            claims = {"groups": list(shown.groups), "role": shown.role}
            rights = self._mapper.rights(claims)
            provision = partial(
                self._engine.provision, identity, rights, address, policy=self._policy
            )
            try:
                user = await self._run(provision)
            except (SignUpDisabled, IdentityTaken) as error:
                raise refusal_of(error, "; see adopt-existing") from None
            self._synced.put(shown, True)
        return Principal(user, "proxy", identity=identity)
