"""Verifies the tokens of one issuer, and reads the identity and the rights in their claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate_engine import Identity, TokenRights
from headgate_server.auth.jwt.claim_checks import check, check_times
from headgate_server.auth.jwt.claim_grants import ClaimMapper
from headgate_server.auth.jwt.jwks_client import JWKSClient
from headgate_server.auth.jwt.key_source import KeySource, source_option, static_keys
from headgate_server.auth.jwt.keys import SUPPORTED, Key, Keys, candidates
from headgate_server.auth.jwt.token_parser import ParsedToken, TokenError
from headgate_server.config.claim_path import Path, compile_path
from headgate_server.config.jwt import JwtSettings

_MAX_NAME_BYTES = 1024


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that *key* has verified, with the identity and the rights in its claims.

    *rights* is None if the settings take no rights from claims. Then the rights in the user store
    apply.
    """

    issuer: "TokenVerifier"
    key: Key
    claims: Mapping[str, Any]
    identity: Identity
    rights: TokenRights | None

    async def is_valid(self, now: float) -> bool:
        """Returns whether the token's times are valid at *now*, and its key is still in use.

        A key is in use while it is one of the issuer's current keys. Raises KeysUnavailable.
        """
        try:
            check_times(self.claims, self.issuer.settings, now)
        except TokenError:
            return False
        return any(self.key is key for key in await self.issuer.source.keys())


class TokenVerifier:
    """Verifies the tokens of one issuer by *settings*.

    *previous* is the verifier that this object replaces after a reload. The keys that *previous*
    has fetched from a URL are taken over if the URL is the same. Raises ValueError for an invalid
    setting: one line that names the option.
    """

    def __init__(self, settings: JwtSettings, previous: "TokenVerifier | None" = None) -> None:
        self.settings = settings
        self._name_path = compile_path("username-attribute-path", settings.username_attribute_path)
        self._email_path = compile_path("email-attribute-path", settings.email_attribute_path)
        self._claim_mapper = ClaimMapper(settings)
        unknown = [name for name in settings.algorithms if name not in SUPPORTED]
        if unknown:
            raise ValueError(f"algorithms: {unknown[0]!r}: expected {', '.join(sorted(SUPPORTED))}")
        option = source_option(settings)
        self.source: KeySource
        if option == "jwk-set-url":
            self.source = fetched = JWKSClient(settings)
            if previous is not None:
                fetched.adopt_cache(previous.source)
        else:
            self.source = static_keys(option, settings)

    async def verify(self, token: ParsedToken, now: float) -> VerifiedToken:
        """Verifies the signature and the claims of *token* at the Unix time *now*.

        Raises TokenError for an invalid token, and NoRights for a token without the required
        rights. Raises KeysUnavailable if the issuer's keys are not available.
        """
        key = await self.signing_key(token)
        check(token.claims, self.settings, now)
        return VerifiedToken(
            self, key, token.claims, self.identity(token.claims), self.rights(token.claims)
        )

    async def signing_key(self, token: ParsedToken) -> Key:
        """Returns the key that verifies *token*. Raises TokenError or KeysUnavailable.

        Looks for new keys if the token's `kid` is unknown.
        """
        if self.settings.algorithms and token.algorithm not in self.settings.algorithms:
            raise TokenError("alg is not one of algorithms")
        if token.algorithm not in SUPPORTED:
            raise TokenError("unknown alg")
        keys = await self.source.keys()
        key = self._find_signing_key(keys, token)
        if key is None and not candidates(keys, token.kid):
            keys = await self.source.refresh()
            key = self._find_signing_key(keys, token)
        if key is None:
            raise TokenError(_signature_error(candidates(keys, token.kid), token))
        return key

    def rights(self, claims: Mapping[str, Any]) -> TokenRights | None:
        """Returns the rights in *claims*, or None if the settings take no rights from claims.

        Raises NoRights if *claims* have no rights, but the settings require them.
        """
        return self._claim_mapper.rights(claims)

    def _find_signing_key(self, keys: Keys, token: ParsedToken) -> Key | None:
        for key in candidates(keys, token.kid):
            if key.verifies(token):
                return key
            if self.settings.accept_padded_signature and key.verifies(token, padded=True):
                return key
        return None

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Returns the identity in *claims*, which must have passed the claim checks.

        Raises TokenError if a name in *claims* is missing or invalid.
        """
        settings = self.settings
        name = _claim_text(claims, settings.username_claim, self._name_path)
        email = _claim_text(claims, settings.email_claim, self._email_path)
        full_name = claims.get("name")
        return Identity(
            issuer=_checked_text("iss", claims.get("iss") or ""),
            subject=_checked_text("sub", claims["sub"]),
            name=_checked_name(name or email),
            email=email,
            full_name=full_name if isinstance(full_name, str) else "",
            issued_at=_earliest_issue_time(claims.get("iat"), settings.leeway),
        )


def _signature_error(keys: Keys, token: ParsedToken) -> str:
    """Returns, for the log, why the signature of *token* is rejected.

    *keys* are the issuer's keys that match the `kid` of *token*.
    """
    if not keys:
        return "unknown kid" if token.kid is not None else "no kid, but the keys have one"
    if token.padded != token.signed and any(key.verifies(token, padded=True) for key in keys):
        return "signed over its base64 padding, see accept-padded-signature of [auth.jwt]"
    return "no key verifies the signature"


def _earliest_issue_time(issued: Any, leeway: float) -> float | None:
    """Returns the earliest time, by the local clock, at which the token may have been issued.

    *issued* is the claim `iat`; the issuer's clock may be ahead by *leeway* seconds. Returns None
    if *issued* is None.
    """
    if issued is None:
        return None
    # max: an int below all floats would overflow. An int above all floats is in the future: the
    # claim checks have rejected it.
    return float(max(0.0, issued)) - leeway


def _claim_text(claims: Mapping[str, Any], claim: str, where: Path) -> str:
    found = claims.get(claim) if claim else where(claims)
    return found if isinstance(found, str) else ""


def _checked_text(claim: str, text: str) -> str:
    """Returns *text*, the value of *claim*. Raises TokenError if it is long or not printable."""
    if not text.isprintable() or len(text.encode()) > _MAX_NAME_BYTES:
        raise TokenError(f"{claim} is too long, or not printable")
    return text


def _checked_name(name: str) -> str:
    if not name:
        raise TokenError("no user name in the claims")
    if not name.strip(" ") or not name.isprintable() or len(name.encode()) > _MAX_NAME_BYTES:
        raise TokenError("the user name in the claims is invalid")
    return name
