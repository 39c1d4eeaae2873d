"""Verifies ID tokens and logout tokens of an OpenID provider (OpenID Connect Core 1.0, 3.1.3.7)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from headgate_server.auth.errors import KeysUnavailable
from headgate_server.auth.jwt.claim_checks import check
from headgate_server.auth.jwt.token_parser import ParsedToken, TokenError, parse
from headgate_server.auth.jwt.verifier import TokenVerifier
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable
from headgate_server.auth.oauth.login_flow import FLOW_SECONDS
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.oauth import OAuthSettings

# Keys of a provider are public: a token that a secret signs is none of the provider.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_MAX_AGE_SECONDS = 600.0
_LEEWAY_SECONDS = 60.0
_MAX_TOKEN_BYTES = 16_384
_MAX_SUBJECT_CHARS = 255
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}


class IdTokenVerifier:
    """Verifies the tokens that the provider of *settings* signs with the keys at *jwks_uri*."""

    def __init__(self, settings: OAuthSettings, jwks_uri: str) -> None:
        self._settings = settings
        self._jwt = JwtSettings(
            enabled=True,
            iss=settings.issuer,
            jwk_set_url=jwks_uri,
            audiences=(settings.client_id,),
            algorithms=_ALGORITHMS,
            max_token_age=_MAX_AGE_SECONDS,
            tls_client_ca=settings.tls_client_ca,
            allow_insecure_jwk_set_url=settings.allow_insecure_urls,
            username_claim="sub",
        )
        self._verifier = TokenVerifier(self._jwt)

    async def verify(
        self,
        text: str,
        now: float,
        *,
        nonce: str = "",
        access_token: str = "",
        is_again: bool = False,
    ) -> Mapping[str, Any]:
        """Returns the claims of the ID token *text*, which is valid at the Unix time *now*.

        *nonce* must be its nonce, if given; *access_token* its `at_hash`, if it has one. With
        *is_again*, the person must have signed in at the provider during the flow: `max_age` goes
        by the browser, which may leave it out. Raises AccessRefused, and ProviderUnavailable if the
        keys are not available.
        """
        token = await self._verified(text, now, "ID token")
        claims = token.claims
        if nonce and claims.get("nonce") != nonce:
            raise AccessRefused("ID token: nonce is not that of the sign-in")
        expected = claims.get("at_hash")
        if access_token and expected is not None:
            if expected != _at_hash(access_token, token.algorithm):
                raise AccessRefused("ID token: at_hash is not that of the access token")
        if is_again and not _is_recent(claims.get("auth_time"), now):
            raise AccessRefused("ID token: auth_time is not of this sign-in")
        allowed = self._settings.required_acr
        if allowed and claims.get("acr") not in allowed:
            raise AccessRefused("ID token: acr is not one of required-acr")
        return claims

    async def verify_logout(self, text: str, now: float) -> Mapping[str, Any]:
        """Returns the claims of the logout token *text* (Back-Channel Logout 1.0, section 2.6).

        Raises AccessRefused, and ProviderUnavailable if the keys are not available.
        """
        claims = (await self._verified(text, now, "logout token", subject=False)).claims
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
            raise AccessRefused("logout token: no logout event")
        if "nonce" in claims:
            raise AccessRefused("logout token: it has a nonce")
        if not isinstance(claims.get("jti"), str) or not claims["jti"]:
            raise AccessRefused("logout token: no jti")
        for name in ("sub", "sid"):
            if not isinstance(claims.get(name, ""), str):
                raise AccessRefused(f"logout token: {name} is not a string")
        if not claims.get("sub") and not claims.get("sid"):
            raise AccessRefused("logout token: neither sub nor sid")
        return claims

    async def _verified(
        self, text: str, now: float, what: str, *, subject: bool = True
    ) -> ParsedToken:
        try:
            token = parse(text, _MAX_TOKEN_BYTES)
            await self._verifier.signing_key(token)
            # `check` requires `sub`, which a logout token may lack.
            claims = token.claims if subject else {"sub": "-", **token.claims}
            check(claims, self._jwt, now)
            self._check_parties(token.claims)
        except TokenError as error:
            raise AccessRefused(f"{what}: {error}") from None
        except KeysUnavailable:
            raise ProviderUnavailable(f"{what}: the keys are not available", 503) from None
        return token

    def _check_parties(self, claims: Mapping[str, Any]) -> None:
        """Raises TokenError unless the token was issued to our client alone or first."""
        audience, party = claims.get("aud"), claims.get("azp")
        several = isinstance(audience, list) and len(audience) > 1
        if (several or party is not None) and party != self._settings.client_id:
            raise TokenError("azp is not client-id")
        subject = claims.get("sub", "")
        if isinstance(subject, str) and len(subject) > _MAX_SUBJECT_CHARS:
            raise TokenError("sub is too long")

    async def key_count(self) -> int:
        """Returns the number of the provider's keys. Raises ProviderUnavailable."""
        try:
            return len(await self._verifier.source.keys())
        except KeysUnavailable:
            raise ProviderUnavailable("the keys are not available", 503) from None

    async def close(self) -> None:
        """Cancels running fetches of keys."""
        await self._verifier.source.close()


def _is_recent(auth_time: object, now: float) -> bool:
    """Returns whether *auth_time*, of a verified token, lies within the time of a flow."""
    if isinstance(auth_time, bool) or not isinstance(auth_time, int | float):
        return False
    return auth_time >= now - FLOW_SECONDS - _LEEWAY_SECONDS


def _at_hash(access_token: str, algorithm: str) -> str:
    """Returns the left half of the hash of *access_token*, in base64url (Core 1.0, 3.1.3.6)."""
    name = _HASHES.get(algorithm[-3:], "sha512")  # EdDSA: SHA-512
    digest = hashlib.new(name, access_token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
