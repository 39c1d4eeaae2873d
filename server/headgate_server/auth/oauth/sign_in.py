"""Turns the callback of a provider into a user: the identity, the rights, the provider's session.

The order of the checks is that of OAuth 2.0 Security Best Current Practice (RFC 9700).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from headgate_engine import (
    AuthenticationFailed,
    Engine,
    Identity,
    IdentityDropped,
    IdentityTaken,
    Principal,
    ProviderSession,
    ProvisioningPolicy,
    SessionTokens,
    SignUpDisabled,
    TokenRights,
    User,
    UserStatus,
)
from headgate_grammar import GrantAdmin
from headgate_server.auth.errors import NoRights
from headgate_server.auth.jwt.claim_grants import ClaimMapper
from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.account_reader import AccountReader
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable, SignInRefused
from headgate_server.auth.oauth.login_flow import LoginFlow
from headgate_server.auth.oauth.provider import OAuthProvider, Tokens
from headgate_server.auth.sealing import Sealer
from headgate_server.auth.sign_up import first_rights
from headgate_server.config.settings import Settings

_MAX_CODE_CHARS = 2048
_MAX_DESCRIPTION_CHARS = 200
_UNAVAILABLE_ERRORS = ("temporarily_unavailable", "server_error")


Run = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome of a sign-in: the *user*, and what the provider says of the session.

    *ends_at* is when the session ends in any case, in Unix seconds; 0: no such time.
    """

    user: User
    identity: Identity
    origin: ProviderSession
    ends_at: int = 0

    @property
    def principal(self) -> Principal:
        """The principal of the new session."""
        return Principal(
            self.user, self.identity.method, identity=self.identity, expires_at=self.ends_at
        )


class ProviderSignIn:
    """Signs people in by *provider*. *run* runs changes of the user store in a thread."""

    def __init__(
        self,
        provider: OAuthProvider,
        settings: Settings,
        engine: Engine,
        sealer: Sealer,
        run: Run,
    ) -> None:
        self.provider = provider
        self.settings = provider.settings
        self._engine, self._sealer, self._run = engine, sealer, run
        self._reader = AccountReader(provider)
        self._mapper = ClaimMapper(provider.settings.rights)
        self.policy = ProvisioningPolicy(
            sign_up=self.settings.allow_sign_up,
            link=self.settings.adopt_existing,
            protected=frozenset(settings.protected_roles)  # type: ignore[arg-type]
            if settings.protected_roles is not None
            else None,
            by_email=settings.oauth_allow_insecure_email_lookup,
            first_rights=first_rights(settings),
            syncs_profile=self.settings.sync_profile,
        )

    async def account_of_callback(
        self, parameters: Mapping[str, Sequence[str]], flow: LoginFlow
    ) -> tuple[ProviderAccount, Tokens]:
        """Returns the account that the callback with *parameters* is for, and its tokens.

        Raises SignInRefused.
        """
        if errors := parameters.get("error"):
            raise _refusal(errors[0], parameters.get("error_description", [""])[0])
        endpoints = await self.provider.endpoints()
        issuers = parameters.get("iss", [])
        if issuers and issuers != [self.settings.issuer] and self.settings.is_openid:
            raise AccessRefused("callback: iss is not the provider's")
        if endpoints.names_issuer and not issuers:
            raise AccessRefused("callback: no iss")
        codes = parameters.get("code", [])
        if len(codes) != 1 or not 0 < len(codes[0]) <= _MAX_CODE_CHARS:
            raise SignInRefused(400, "the provider sent no valid code", "callback: code")
        tokens = await self.provider.exchange(codes[0], flow.verifier)
        is_again = flow.purpose == "again"
        return await self._reader.read(tokens, nonce=flow.nonce, is_again=is_again), tokens

    async def account_of_device(self, device_code: str) -> tuple[ProviderAccount, Tokens]:
        """Returns the account that approved the device, and its tokens (RFC 8628).

        Raises SignInRefused: TokenEndpointError while the person has not approved it.
        """
        tokens = await self.provider.exchange_device(device_code)
        return await self._reader.read(tokens), tokens

    async def sign_in(self, account: ProviderAccount, tokens: Tokens, address: str) -> SignedIn:
        """Returns the user that *account* is. The sign-in may create or change the user.

        *address* is the client's, for the audit log. Raises SignInRefused.
        """
        rights = self.rights(account)
        user = await self._provisioned(account, rights, address)
        if not user.is_active:
            raise _inactive(user)
        settings = self.settings
        sealed = await self._run(partial(self._sealed, tokens))
        expires = self._engine.sessions.now() + tokens.expires_in
        origin = ProviderSession(
            settings.name,
            account.sid,
            expires if sealed is not None and sealed.refresh_token else 0,
            sealed,
        )
        ends_at = account.token_expires_at if settings.session_ends_with_token else 0
        return SignedIn(user, self.identity(account), origin, ends_at)

    def rights(self, account: ProviderAccount) -> TokenRights | None:
        """Returns the rights in the claims of *account*; None if no claims give rights.

        Raises AccessRefused if the claims must give rights, but do not.
        """
        try:
            rights = self._mapper.rights(account.claims)
        except NoRights:
            raise AccessRefused("role-attribute-strict: the claims give no rights") from None
        if rights is not None and account.subject in self.settings.admin_subjects:
            return replace(rights, admin=True)
        return rights

    def identity(self, account: ProviderAccount) -> Identity:
        """Returns the identity of *account*."""
        return Identity(
            self.settings.identity_issuer,
            account.subject,
            account.name,
            account.email,
            account.full_name,
            account.issued_at,
            account.email_verified,
            "oauth",
        )

    async def _provisioned(
        self, account: ProviderAccount, rights: TokenRights | None, address: str
    ) -> User:
        identity = self.identity(account)
        provision = partial(self._engine.provision, identity, rights, address, policy=self.policy)
        try:
            user: User = await self._run(provision)
        except IdentityDropped as error:
            raise AccessRefused(error.reason) from None
        except SignUpDisabled:
            raise SignInRefused(403, "sign-up is disabled", "allow-sign-up is off") from None
        except IdentityTaken as error:
            raise SignInRefused(
                403, "the user name belongs to another person", error.reason
            ) from None
        except AuthenticationFailed:
            found = self._engine.store.user_by_identity(identity.issuer, identity.subject)
            raise _inactive(found or self._engine.user(identity.name)) from None
        if account.subject in self.settings.admin_subjects and not user.admin:
            await self._run(partial(self._grant_admin, user, identity, address))
            user = await self._run(provision)
        return user

    def _grant_admin(self, user: User, identity: Identity, address: str) -> None:
        author = Principal(user, "oauth", identity=identity)
        self._engine.execute_statement(GrantAdmin(user.name), author, "", address)

    @property
    def stale_if_error(self) -> float:
        """For how many seconds a session lasts while the provider does not answer."""
        return self.settings.refresh_stale_if_error

    def issuer_of(self, provider: str) -> str:
        """Returns the issuer of the identities of this provider."""
        return self.settings.identity_issuer

    async def refreshed(
        self, issuer: str, subject: str, stored: SessionTokens, address: str
    ) -> tuple[SessionTokens, int]:
        """Asks the provider whether the account *subject* keeps its access.

        *stored* are the sealed tokens of the session. Returns the tokens for the next time, and
        when the access ends. Raises AccessRefused if the access has ended, and ProviderUnavailable.
        """
        token = await self._run(partial(self._sealer.open, stored.refresh_token))
        if token is None:
            raise AccessRefused("no key opens the refresh token")
        tokens = await self.provider.refresh(token.decode())
        account = await self._reader.read(tokens, subject=subject)
        # Without a new ID token and user information, the provider says nothing about rights.
        rights = self.rights(account) if account.claims else None
        user = await self._provisioned(account, rights, address)
        if not user.is_active:
            raise AccessRefused("the user is disabled")
        sealed = await self._run(partial(self._sealed, tokens))
        kept = replace(
            stored,
            refresh_token=sealed.refresh_token
            if sealed is not None and sealed.refresh_token
            else stored.refresh_token,
            id_token=sealed.id_token if sealed is not None and sealed.id_token else stored.id_token,
        )
        return kept, self._engine.sessions.now() + tokens.expires_in

    def _sealed(self, tokens: Tokens) -> SessionTokens | None:
        """Returns what the session keeps of *tokens*, sealed; None if it keeps nothing."""
        refresh = tokens.refresh_token if self.settings.use_refresh_token else ""
        id_token = tokens.id_token if self.settings.single_logout else ""
        if not refresh and not id_token:
            return None
        return SessionTokens(
            self._sealer.seal(refresh.encode()) if refresh else b"",
            self._sealer.seal(id_token.encode()) if id_token else b"",
        )

    def opened_id_token(self, stored: SessionTokens | None) -> str:
        """Returns the ID token in *stored*; "" for none. Reads the file of keys."""
        if stored is None or not stored.id_token:
            return ""
        opened = self._sealer.open(stored.id_token)
        return opened.decode() if opened is not None else ""


def _refusal(error: str, description: str) -> SignInRefused:
    """Returns the refusal for the *error* in a callback (RFC 6749, section 4.1.2.1)."""
    shown = "".join(char for char in description if char.isprintable())[:_MAX_DESCRIPTION_CHARS]
    code = "".join(char for char in error if char.isprintable())[:40]
    reason = f"callback: {code}: {shown}" if shown else f"callback: {code}"
    if error == "access_denied":
        return AccessRefused(reason, "you, or the provider, said no")
    return ProviderUnavailable(reason, 503 if error in _UNAVAILABLE_ERRORS else 502)


def _inactive(user: User | None) -> SignInRefused:
    if user is not None and user.status is UserStatus.PENDING:
        return AccessRefused("the user is pending", "an administrator has to approve it first")
    return AccessRefused("the user is disabled")
