"""Reads the account of a person at a provider, by the kind of the provider."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headgate_server.auth.oauth.access_rules import check_access
from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.errors import AccessRefused
from headgate_server.auth.oauth.provider import OAuthProvider, Tokens
from headgate_server.config.claim_path import compile_path
from headgate_server.config.oauth import OAuthSettings

_LEEWAY = 60.0
_MAX_TEXT_BYTES = 1024
_LATEST = 1 << 40  # Unix seconds: a token may name a time that no store has room for
_PER_PAGE = "per_page=100"


class AccountReader:
    """Reads accounts at *provider*. Its JMESPath expressions are compiled once."""

    def __init__(self, provider: OAuthProvider) -> None:
        self._provider = provider
        settings = provider.settings
        self._paths = {
            name: compile_path(f"{name}-attribute-path", text)
            for name, text in {
                "login": settings.login_attribute_path,
                "email": settings.email_attribute_path or "email",
                "name": settings.name_attribute_path or "name",
                "email-verified": settings.email_verified_attribute_path,
                "subject": settings.subject_attribute_path,
                "groups": settings.rights.databases_attribute_path or "groups",
            }.items()
        }

    async def read(
        self, tokens: Tokens, *, nonce: str = "", subject: str = "", is_again: bool = False
    ) -> ProviderAccount:
        """Returns the account that *tokens* are for, after all checks of the settings.

        *nonce* is that of the flow, and *is_again* whether the person signs in once more. *subject*
        is the account of a session that is refreshed: its tokens must be of this account. Raises
        AccessRefused and ProviderUnavailable.
        """
        settings = self._provider.settings
        if settings.kind == "github":
            account = await self._github(tokens)
        elif settings.kind == "oauth2":
            account = await self._oauth2(tokens)
        else:
            account = await self._openid(tokens, nonce, subject, is_again=is_again)
        if subject and account.subject != subject:
            raise AccessRefused("the tokens are of another account")
        check_access(account, settings)
        return account

    def account_of_claims(self, claims: Mapping[str, Any]) -> ProviderAccount:
        """Returns the account that *claims*, of ID token and user information, describe.

        Asks no provider. Raises AccessRefused as `read` does.
        """
        settings = self._provider.settings
        key = "id" if settings.kind in ("github", "oauth2") and "id" in claims else "sub"
        subject = str(claims.get(key, "")) if claims.get(key) is not None else ""
        account = self._account(settings, claims, _text(subject, key))
        account = replace(account, issued_at=time.time())
        check_access(account, settings)
        return account

    async def _openid(
        self, tokens: Tokens, nonce: str, subject: str, *, is_again: bool
    ) -> ProviderAccount:
        provider, settings = self._provider, self._provider.settings
        now, endpoints = time.time(), await provider.endpoints()
        claims: Mapping[str, Any] = {}
        # A refresh may bring no new ID token (Core 1.0, section 12.2).
        if tokens.id_token or not subject:
            if not tokens.id_token:
                raise AccessRefused("token endpoint: no ID token")
            verifier = await provider.verifier()
            claims = await verifier.verify(
                tokens.id_token,
                now,
                nonce=nonce,
                access_token=tokens.access_token,
                is_again=is_again,
            )
        known = claims.get("sub") or subject
        if endpoints.user_info:
            url = endpoints.user_info
            info = await provider.documents.get("user information", url, tokens.access_token)
            if info.get("sub") != known:
                raise AccessRefused("user information: sub is not that of the ID token")
            claims = {**info, **claims}
        account = self._account(settings, claims, _text(known, "sub"))
        if settings.kind == "azuread":
            account = self._azure(account, claims)
        if settings.kind == "gitlab":
            account = await self._with_gitlab_groups(account, tokens)
        issued = claims.get("iat")
        expires = claims.get("exp")
        return replace(
            account,
            sid=claims["sid"] if isinstance(claims.get("sid"), str) else "",
            issued_at=float(issued) - _LEEWAY if isinstance(issued, int | float) else now,
            token_expires_at=int(min(expires, _LATEST)) if isinstance(expires, int | float) else 0,
        )

    def _account(
        self, settings: OAuthSettings, claims: Mapping[str, Any], subject: str
    ) -> ProviderAccount:
        email = _printable(self._paths["email"](claims))
        verified = claims.get("email_verified")
        if settings.email_verified_attribute_path:
            verified = self._paths["email-verified"](claims)
        elif settings.kind == "azuread":
            verified = verified is True or claims.get("xms_edov") in (True, "1", 1)
        is_verified = verified is True and bool(email)
        name = self._name(settings, claims, email if is_verified else "", subject)
        return ProviderAccount(
            subject,
            name + settings.name_suffix,
            email,
            is_verified,
            _printable(self._paths["name"](claims)),
            groups=_texts(self._paths["groups"](claims)),
            organizations=_texts(claims.get("organizations")),
            claims=claims,
        )

    def _name(
        self, settings: OAuthSettings, claims: Mapping[str, Any], verified: str, subject: str
    ) -> str:
        """Returns the name of a new user for the account."""
        if settings.login_attribute_path:
            own = _printable(self._paths["login"](claims))
        elif settings.kind == "google":
            own = verified
        elif settings.kind == "gitlab":
            own = _printable(claims.get("preferred_username") or claims.get("nickname"))
        elif settings.kind in ("github", "oauth2"):
            own = _printable(claims.get("login"))
        else:
            own = _printable(claims.get("preferred_username")) or verified
        return own or f"{settings.name}:{subject}"

    def _azure(self, account: ProviderAccount, claims: Mapping[str, Any]) -> ProviderAccount:
        tenant, person = claims.get("tid"), claims.get("oid")
        if not isinstance(tenant, str) or not isinstance(person, str) or not (tenant and person):
            raise AccessRefused("ID token: tid and oid are needed")
        needs = self._provider.settings.allowed_groups or self._provider.settings.rights.db_mapping
        if "groups" not in claims and "_claim_names" in claims and needs:
            raise AccessRefused(
                "ID token: more than 200 groups",
                "this account has more groups than its provider can tell",
            )
        return account

    async def _with_gitlab_groups(
        self, account: ProviderAccount, tokens: Tokens
    ) -> ProviderAccount:
        base = self._provider.settings.api_url or f"{self._provider.settings.issuer}/api/v4"
        url = f"{base.rstrip('/')}/groups?min_access_level=10&{_PER_PAGE}"
        found = await self._provider.documents.get_pages("groups", url, tokens.access_token)
        groups = _texts([group.get("full_path") for group in found])
        claims = {**account.claims, "groups": list(groups)}
        return replace(account, groups=groups, organizations=groups, claims=claims)

    async def _github(self, tokens: Tokens) -> ProviderAccount:
        documents, base = self._provider.documents, self._provider.settings.api_url.rstrip("/")
        token, settings = tokens.access_token, self._provider.settings
        info = await documents.get("user", f"{base}/user", token)
        number = info.get("id")
        if not isinstance(number, int) or isinstance(number, bool):
            raise AccessRefused("user: no numeric id")
        url = f"{base}/user/emails?{_PER_PAGE}"
        emails = await documents.get_pages("addresses", url, token)
        email = next(
            (it.get("email") for it in emails if it.get("primary") and it.get("verified") is True),
            "",
        )
        orgs = await documents.get_pages("organizations", f"{base}/user/orgs?{_PER_PAGE}", token)
        organizations = _texts([org.get("login") for org in orgs])
        teams = await documents.get_pages("teams", f"{base}/user/teams?{_PER_PAGE}", token)
        groups = [*organizations]
        for team in teams:
            owner = team.get("organization")
            owner = owner.get("login") if isinstance(owner, dict) else None
            if isinstance(owner, str) and isinstance(team.get("slug"), str):
                groups.append(f"@{owner}/{team['slug']}")
        claims = {**info, "email": email, "email_verified": bool(email), "groups": groups}
        account = self._account(settings, claims, str(number))
        return replace(
            account,
            organizations=organizations,
            groups=tuple(groups),
            team_ids=tuple(str(team.get("id")) for team in teams),
            issued_at=time.time(),
        )

    async def _oauth2(self, tokens: Tokens) -> ProviderAccount:
        settings = self._provider.settings
        info = await self._provider.documents.get(
            "user information", settings.api_url, tokens.access_token
        )
        if settings.subject_attribute_path:
            subject = self._paths["subject"](info)
        else:
            subject = info.get("id") if info.get("id") is not None else info.get("sub")
        if isinstance(subject, int) and not isinstance(subject, bool):
            subject = str(subject)
        account = self._account(settings, info, _text(subject, "id"))
        return replace(account, issued_at=time.time())


def _text(value: object, what: str) -> str:
    text = _printable(value)
    if not text:
        raise AccessRefused(f"no valid {what}")
    return text


def _printable(value: object) -> str:
    """Returns *value* if it is a printable text of at most 1024 bytes, else ""."""
    if not isinstance(value, str) or not value.isprintable():
        return ""
    return value if len(value.encode()) <= _MAX_TEXT_BYTES and value.strip() else ""


def _texts(value: object) -> tuple[str, ...]:
    """Returns the texts in *value*, a list or a single text."""
    listed = [value] if isinstance(value, str) else value
    return tuple(it for it in listed if isinstance(it, str)) if isinstance(listed, list) else ()
