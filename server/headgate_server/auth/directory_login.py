"""Authenticates users by their password in a directory, and asks it again during a session."""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from headgate_engine import (
    NO_PASSWORD,
    AuthenticationFailed,
    Engine,
    Identity,
    IdentityTaken,
    Principal,
    ProviderSession,
    ProvisioningPolicy,
    SessionTokens,
    SignUpDisabled,
    User,
)
from headgate_grammar import GenerationalCache
from headgate_server.auth.errors import DirectoryUnavailable, refusal_of
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable
from headgate_server.auth.sign_up import first_rights
from headgate_server.config.settings import Settings

if TYPE_CHECKING:
    from headgate_server.auth.ldap.entry import LdapEntry

ISSUER_PREFIX = "ldap:"
_MAX_REMEMBERED = 10_000


class DirectoryLogin:
    """Authenticates by the directories of `[auth.ldap]`. *run* runs blocking work in a thread.

    Also confirms the access of sessions: it implements `AccessSource`. *timer* times the steps of
    a login.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
        timer: Callable[[str], AbstractContextManager[object]] = lambda step: nullcontext(),
    ) -> None:
        # Imported on demand: only a server with a directory needs its library.
        from headgate_server.auth.ldap.directory import LdapDirectory

        self._engine, self._run, self.settings = engine, run, settings.ldap
        self._directory = LdapDirectory(settings.ldap, timer=timer)
        self._issuers = {ISSUER_PREFIX + server.name for server in settings.ldap.servers}
        self._policy = ProvisioningPolicy(
            sign_up=settings.ldap.allow_sign_up,
            first_rights=first_rights(settings),
            syncs_profile=True,
        )
        self._digest_key = secrets.token_bytes(32)
        self._remembered: GenerationalCache[bytes, Identity] = GenerationalCache(
            _MAX_REMEMBERED, settings.ldap.cache_ttl
        )

    def is_asked(self, name: str) -> bool:
        """Returns whether the directory decides on a login as *name*.

        It does for users that it knows, and for names of no user if they may sign up. A user with a
        password logs in by that password alone.
        """
        user = self._engine.user(name)
        if user is None:
            return self.settings.allow_sign_up
        if user.hash != NO_PASSWORD:
            return False
        linked = self._engine.store.identities(user.id)
        return any(one.issuer in self._issuers for one in linked)

    def remembered(self, name: str, password: str) -> Principal | None:
        """Returns the principal if *password* was verified a short time ago, else None.

        Raises AuthenticationFailed if the user was disabled meanwhile, or got a password of ours.
        """
        known = self._remembered.get(self._digest(name, password))
        if known is None:
            return None
        user = self._engine.store.user_by_identity(known.issuer, known.subject)
        if user is None:
            return None
        if not user.is_active or user.hash != NO_PASSWORD:
            raise AuthenticationFailed
        return Principal(user, "ldap", identity=known)

    async def authenticate(
        self, name: str, password: str, address: str
    ) -> tuple[Principal, ProviderSession]:
        """Returns the principal of *name* with *password*, and what a session of theirs keeps.

        Raises AuthenticationFailed and DirectoryUnavailable.
        """
        entry = await self._directory.find(name, password)
        if entry is None:
            raise AuthenticationFailed
        # The directory may know the user by a name in other letters, which is no user's here.
        known = self._engine.store.user_by_identity(ISSUER_PREFIX + entry.server, entry.subject)
        if known is not None and known.hash != NO_PASSWORD:
            raise AuthenticationFailed
        user, identity = await self._provisioned(entry, address)
        self._remembered.put(self._digest(name, password), identity)
        origin = ProviderSession(
            identity.issuer,
            access_expires_at=self._next_check(),
            # The distinguished name, by which the entry is read again.
            tokens=SessionTokens(refresh_token=entry.dn.encode()),
        )
        return Principal(user, "ldap", identity=identity), origin

    @property
    def stale_if_error(self) -> float:
        """For how many seconds a session lasts while no directory answers."""
        return self.settings.recheck_interval

    def issuer_of(self, provider: str) -> str:
        """Returns the issuer of identities: sessions name the directory as identities do."""
        return provider

    async def refreshed(
        self, issuer: str, subject: str, stored: SessionTokens, address: str
    ) -> tuple[SessionTokens, int]:
        """Returns the tokens for the next time, and when the directory is asked again.

        Raises AccessRefused if the entry is gone or in no allowed group, and ProviderUnavailable.
        """
        server = issuer.removeprefix(ISSUER_PREFIX)
        try:
            entry = await self._directory.look_up(server, stored.refresh_token.decode())
            if entry is None or entry.subject != subject:
                raise AccessRefused("the entry is gone, or in no allowed group")
            await self._provisioned(entry, address)
        except DirectoryUnavailable as error:
            raise ProviderUnavailable(error.reason, 503) from None
        except AuthenticationFailed:
            raise AccessRefused("the user is disabled") from None
        return replace(stored, refresh_token=entry.dn.encode()), self._next_check()

    async def sync(self, issuer: str, subject: str) -> bool:
        """Gives the user of *subject* the rights and the profile of the entry now.

        Returns False if the entry is gone, or in none of `allowed-groups`. Raises
        AuthenticationFailed for a disabled user, and DirectoryUnavailable.
        """
        server = issuer.removeprefix(ISSUER_PREFIX)
        entry = await self._directory.look_up_subject(server, subject)
        if entry is None or entry.subject != subject:
            return False
        await self._provisioned(entry, "")
        return True

    @property
    def issuers(self) -> frozenset[str]:
        """The issuers of the identities of these directories."""
        return frozenset(self._issuers)

    async def _provisioned(self, entry: "LdapEntry", address: str) -> tuple[User, Identity]:
        from headgate_server.auth.ldap.group_rights import group_rights

        server = self.settings.server_named(entry.server)
        synced = self.settings.grant_sync != "off"
        identity = Identity(
            ISSUER_PREFIX + entry.server,
            entry.subject,
            entry.username,
            entry.email,
            entry.full_name,
            self._engine.sessions.now(),
            bool(entry.email),
            "ldap",
        )
        rights = group_rights(entry.groups, server, synced=synced)
        provision = partial(self._engine.provision, identity, rights, address, policy=self._policy)
        try:
            return await self._run(provision), identity
        except (SignUpDisabled, IdentityTaken) as error:
            raise refusal_of(error) from None

    def _next_check(self) -> int:
        return self._engine.sessions.now() + max(1, int(self.settings.recheck_interval))

    def _digest(self, name: str, password: str) -> bytes:
        content = f"{len(name)}:{name}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._digest_key, content, hashlib.sha256)

    def close(self) -> None:
        """Closes the connections to the directories."""
        self._directory.close()
