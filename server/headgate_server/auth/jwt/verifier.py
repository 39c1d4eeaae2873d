"""One issuer of tokens: its keys, and the identity and rights in its claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate_engine import Identity, Rights
from headgate_server.auth.jwt.claim_checks import check, check_times
from headgate_server.auth.jwt.claim_grants import RightsOf
from headgate_server.auth.jwt.jwks_client import Fetched
from headgate_server.auth.jwt.jws import Parsed, TokenError
from headgate_server.auth.jwt.key_source import Source, fixed, source_option
from headgate_server.auth.jwt.keys import SUPPORTED, Key, Keys, candidates
from headgate_server.config.claim_path import Path, path
from headgate_server.config.jwt import JwtSettings

_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that *key* verified: its identity and rights (None: the stored rights apply)."""

    issuer: "Issuer"
    key: Key
    claims: Mapping[str, Any]
    identity: Identity
    rights: Rights | None

    async def holds(self, now: float) -> bool:
        """Returns whether the token is valid at *now*: by its times, and by the current keys.

        Raises KeysUnavailable.
        """
        try:
            check_times(self.claims, self.issuer.settings, now)
        except TokenError:
            return False
        return any(self.key is key for key in await self.issuer.source.keys())


class Issuer:
    """Verifies tokens by *settings*. Raises ValueError, one line with the option, if they are
    invalid.

    It adopts the fetched keys of *former*, which it replaces.
    """

    def __init__(self, settings: JwtSettings, former: "Issuer | None" = None) -> None:
        self.settings = settings
        self._name = path("username-attribute-path", settings.username_attribute_path)
        self._email = path("email-attribute-path", settings.email_attribute_path)
        self._rights = RightsOf(settings)
        unknown = [name for name in settings.algorithms if name not in SUPPORTED]
        if unknown:
            raise ValueError(f"algorithms: {unknown[0]!r}: expected {', '.join(sorted(SUPPORTED))}")
        option = source_option(settings)
        self.source: Source = (
            Fetched(settings) if option == "jwk-set-url" else fixed(option, settings)
        )
        if former is not None and isinstance(self.source, Fetched):
            self.source.inherit(former.source)

    async def verify(self, token: Parsed, now: float) -> Verified:
        """Returns the verified *token*. Raises TokenError, NoRights, KeysUnavailable."""
        key = await self.signer(token)
        check(token.claims, self.settings, now)
        return Verified(
            self, key, token.claims, self.identity(token.claims), self.rights(token.claims)
        )

    async def signer(self, token: Parsed) -> Key:
        """Returns the key that made the signature of *token*. Raises TokenError or KeysUnavailable.

        It looks for new keys if the `kid` is unknown.
        """
        if self.settings.algorithms and token.algorithm not in self.settings.algorithms:
            raise TokenError("alg is not one of algorithms")
        if token.algorithm not in SUPPORTED:
            raise TokenError("unknown alg")
        keys = await self.source.keys()
        key = self._signer(keys, token)
        if key is None and not candidates(keys, token.kid):
            keys = await self.source.newer()
            key = self._signer(keys, token)
        if key is None:
            raise TokenError(_unsigned(candidates(keys, token.kid), token))
        return key

    def rights(self, claims: Mapping[str, Any]) -> Rights | None:
        """Returns the rights in *claims*; None if they do not decide on grants. Raises NoRights."""
        return self._rights.of(claims)

    def _signer(self, keys: Keys, token: Parsed) -> Key | None:
        for key in candidates(keys, token.kid):
            if key.verifies(token):
                return key
            if self.settings.accept_padded_signature and key.verifies(token, padded=True):
                return key
        return None

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Returns the identity in *claims*, which have passed the checks. Raises TokenError."""
        settings = self.settings
        name = _text(claims, settings.username_claim, self._name)
        email = _text(claims, settings.email_claim, self._email)
        full_name = claims.get("name")
        return Identity(
            issuer=_printed("iss", claims.get("iss") or ""),
            subject=_printed("sub", claims["sub"]),
            name=_checked(name or email),
            email=email,
            full_name=full_name if isinstance(full_name, str) else "",
            issued=_earliest(claims.get("iat"), settings.leeway),
        )


def _unsigned(keys: Keys, token: Parsed) -> str:
    """Returns why none of *keys*, those that match the `kid` of *token*, verifies it."""
    if not keys:
        return "unknown kid" if token.kid is not None else "no kid, but the keys have one"
    if token.padded != token.signed and any(key.verifies(token, padded=True) for key in keys):
        return "signed over its base64 padding, see accept-padded-signature of [auth.jwt]"
    return "no key verifies the signature"


def _earliest(issued: Any, leeway: float) -> float | None:
    """Returns the earliest time of issue by the local clock, which may differ from the issuer's."""
    if issued is None:
        return None
    # An int below all floats would overflow; one above them is in the future, and rejected.
    return float(max(0.0, issued)) - leeway


def _text(claims: Mapping[str, Any], claim: str, where: Path) -> str:
    found = claims.get(claim) if claim else where(claims)
    return found if isinstance(found, str) else ""


def _printed(claim: str, text: str) -> str:
    """Returns *text* if the store and the audit can hold it. Raises TokenError."""
    if not text.isprintable() or len(text.encode()) > _LONGEST_NAME:
        raise TokenError(f"{claim} is too long, or not printable")
    return text


def _checked(name: str) -> str:
    if not name:
        raise TokenError("no user name in the claims")
    if not name.strip(" ") or not name.isprintable() or len(name.encode()) > _LONGEST_NAME:
        raise TokenError("the user name in the claims is invalid")
    return name
