"""Tenant tokens: JSON Web Tokens that name a tenant instead of a user.

Tenants are those of upstream stores such as Mimir and Loki. The tokens have the claims that the
proxies auth-gateway and cortex-gateway expect: the tenant, `aud` and `version`.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from headgate_engine import Principal
from headgate_grammar import GenerationalCache
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.errors import KeysUnavailable, TokenRejected
from headgate_server.auth.jwt.claim_checks import ClaimChecks
from headgate_server.auth.jwt.keys import Key
from headgate_server.auth.jwt.token_parser import TokenError, parse
from headgate_server.auth.jwt.verifier import TokenVerifier
from headgate_server.auth.transient_principal import transient_principal
from headgate_server.config.claim_path import compile_path
from headgate_server.config.gateway import TenantTokenSettings
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.tenant_names import is_tenant

_HMAC = ("HS256", "HS384", "HS512")
_CHECKS = ("types", "audiences", "nbf", "exp", "iat")
_MAX_TOKEN_BYTES = 16_384
_MAX_CACHED_TOKENS = 10_000
_CACHE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _VerifiedToken:
    """A verified token in the cache, with the values that `is_valid` checks again.

    *key* is the key of *issuer* that verified the signature. *checked* has the token's claims.
    """

    principal: Principal
    issuer: TokenVerifier
    key: Key
    checked: ClaimChecks

    async def is_valid(self, now: float) -> bool:
        """Returns whether the token's times are valid at *now*, and its key is still in use.

        A key is in use while it is one of the issuer's current keys. Raises KeysUnavailable.
        """
        if not self.checked.is_timely(now):
            return False
        return any(self.key is key for key in await self.issuer.source.keys())


class TenantTokenVerifier:
    """Verifies tenant tokens by *settings*, with a cache of verified tokens.

    Raises ValueError for an invalid setting: one line that names the option.
    """

    def __init__(self, settings: TenantTokenSettings) -> None:
        self._settings = settings
        common = JwtSettings(
            audiences=settings.audiences,
            require_exp=settings.require_exp,
            leeway=settings.leeway,
        )
        self._secret_verifier = self._key_verifier = None
        if settings.secrets:
            keys = _secret_key_set(settings.secrets)
            self._secret_verifier = TokenVerifier(
                replace(common, jwk_set_value=keys, algorithms=_HMAC)
            )
        if settings.jwk_set_url:
            self._key_verifier = TokenVerifier(
                replace(
                    common,
                    jwk_set_url=settings.jwk_set_url,
                    allow_insecure_jwk_set_url=settings.allow_insecure_jwk_set_url,
                    cache_ttl=settings.cache_ttl,
                )
            )
        self._claim_path = compile_path("tenant-claim", _claim_expression(settings.tenant_claim))
        self._cache: GenerationalCache[bytes, _VerifiedToken] = GenerationalCache(
            _MAX_CACHED_TOKENS, _CACHE_SECONDS
        )

    def find_token(
        self, request_credentials: RequestCredentials, *, secret: bool = True, issuers: bool = True
    ) -> str:
        """Returns the tenant token in *request_credentials*, or "" if there is none.

        Returns "" if the URL has a name and password (`u` and `p`). Otherwise looks in the headers
        that `extra-headers` lists, in their order, and then in `Authorization`. *secret* is whether
        tokens signed with the shared secret are accepted in `Authorization`. *issuers* is whether
        tokens of the issuers in `[auth.jwt]` are accepted there. If both are False, an unreadable
        token is returned, so that its error is logged.
        """
        if request_credentials.url.get("u") and request_credentials.url.get("p"):
            return ""
        for name in self._settings.extra_headers:
            for value in request_credentials.headers(name):
                if value.strip(" \t"):
                    return _strip_bearer(value)
        text = request_credentials.authorization.strip(" \t")
        scheme, _, rest = text.partition(" ")
        if scheme.lower() == "bearer":
            bearer = rest.strip(" ")
            return bearer if self._is_tenant_token(bearer, secret=secret, issuers=issuers) else ""
        return text if text.count(".") == 2 and not rest else ""

    def _is_tenant_token(self, text: str, *, secret: bool, issuers: bool) -> bool:
        """Returns whether the token *text* is to be verified as a tenant token.

        Returns False in these cases:

        - a claim `username` names a user: the shared secret verifies such a token;
        - *issuers* is True and no claim names a tenant: `[auth.jwt]` verifies such a token;
        - *text* is malformed, and *secret* or *issuers* is True.
        """
        try:
            claims = parse(text, _MAX_TOKEN_BYTES).claims
        except TokenError:
            return not secret and not issuers
        if "username" in claims:
            return False
        return not issuers or self._tenant_claim(claims) is not None

    async def authenticate(self, text: str) -> Principal:
        """Verifies the tenant token *text*, and returns its principal.

        Raises TokenRejected for an invalid token. Raises KeysUnavailable if the keys at
        `jwk-set-url` are not available.
        """
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        now = time.time()
        cached = self._cache.get(digest)
        if cached is not None and await cached.is_valid(now):
            return cached.principal
        try:
            found = await self._verify(text, now)
        except TokenError as error:
            self._cache.remove(digest)
            raise TokenRejected(str(error)) from None
        self._cache.put(digest, found)
        return found.principal

    async def rejection_reason(self, text: str) -> str:
        """Returns, for the log, why the token *text* is not a valid tenant token.

        *text* is a token that `find_token` did not return, and that the shared secret or
        `[auth.jwt]` rejected.
        """
        try:
            await self._verify(text, time.time())
        except (TokenError, KeysUnavailable) as error:
            return str(error)
        return 'claim "username": a token of a user'

    async def _verify(self, text: str, now: float) -> _VerifiedToken:
        token = parse(text, _MAX_TOKEN_BYTES)
        # The algorithm selects the kind of key, so a public key is never used as a secret.
        issuer = self._secret_verifier if token.algorithm in _HMAC else self._key_verifier
        if issuer is None:
            raise TokenError("no key here for its alg")
        # A secret has no key ID, so the token's `kid` is ignored.
        nameless = replace(token, kid=None) if issuer is self._secret_verifier else token
        key = await issuer.signing_key(nameless)
        checked = ClaimChecks(token.claims, issuer.settings, _CHECKS)
        checked.check(now)
        tenants = self._tenant_names(token.claims)
        self._check_version(token.claims, tenants)
        principal = transient_principal(
            _principal_name(token.claims, tenants), tenants, self._settings.privilege
        )
        return _VerifiedToken(principal, issuer, key, checked)

    def _tenant_claim(self, claims: Mapping[str, Any]) -> Any:
        literal = claims.get(self._settings.tenant_claim)
        return literal if literal is not None else self._claim_path(claims)

    def _tenant_names(self, claims: Mapping[str, Any]) -> list[str]:
        found = self._tenant_claim(claims)
        if found is None:
            raise TokenError(f'no claim "{self._settings.tenant_claim}"')
        names = [found] if isinstance(found, str) else found
        if not isinstance(names, list) or not names:
            raise TokenError("no tenant in the claims")
        if not all(isinstance(name, str) and is_tenant(name) for name in names):
            raise TokenError("an invalid tenant name in the claims")
        return names

    def _check_version(self, claims: Mapping[str, Any], tenants: list[str]) -> None:
        least = max(self._settings.versions.get(name, 0) for name in tenants)
        if not least:
            return
        version = claims.get(self._settings.version_claim)
        if isinstance(version, bool) or not isinstance(version, int) or version < least:
            raise TokenError("its version was revoked")

    async def close(self) -> None:
        """Cancels a fetch of the keys at `jwk-set-url`, and forbids further fetches."""
        if self._key_verifier is not None:
            await self._key_verifier.source.close()


def _principal_name(claims: Mapping[str, Any], tenants: list[str]) -> str:
    subject = claims.get("sub")
    plain = isinstance(subject, str) and subject.isprintable() and 0 < len(subject) <= 256
    # The prefix `token:` lets readers of the audit tell a token from a user of the same name.
    return f"token:{subject if plain else '|'.join(tenants)}"


def _strip_bearer(value: str) -> str:
    text = value.strip(" \t")
    return text[7:].lstrip(" ") if text[:7].lower() == "bearer " else text


def _claim_expression(claim: str) -> str:
    """Returns *claim* as a JMESPath. *claim* is the name of a claim, or already a JMESPath.

    Names such as `https://example/tenant` are quoted, so that they are valid JMESPath.
    """
    return json.dumps(claim) if any(c in claim for c in "/:- ") and '"' not in claim else claim


def _secret_key_set(secrets: tuple[str, ...]) -> str:
    keys = [
        {"kty": "oct", "k": base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode()}
        for one in secrets
    ]
    return json.dumps({"keys": keys})
