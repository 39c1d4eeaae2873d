"""The issuers of tokens in `[auth.jwt]`, and a cache of recently verified tokens."""

import hashlib
import re
from collections.abc import Callable
from time import time

from headgate_grammar import GenerationalCache
from headgate_server.auth.jwt.key_source import source_option
from headgate_server.auth.jwt.token_parser import ParsedToken, TokenError, parse
from headgate_server.auth.jwt.verifier import TokenVerifier, VerifiedToken
from headgate_server.config.jwt import JwtSettings

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_CACHE_SECONDS = 60.0
_MAX_CACHED_TOKENS = 10_000


class IssuerRegistry:
    """Verifies tokens of all issuers in *settings*.

    *settings* are those of the first issuer, and contain those of further issuers. A token with the
    `iss` of a further issuer is verified by that issuer's settings. Any other token is verified by
    the first issuer's settings.

    *previous* is the registry that this object replaces after a reload: the keys that *previous*
    has fetched are taken over. Raises ValueError for an invalid setting: one line that names the
    option.
    """

    def __init__(
        self,
        settings: JwtSettings,
        clock: Callable[[], float] | None = None,
        previous: "IssuerRegistry | None" = None,
    ) -> None:
        if not settings.header_name and not settings.url_login:
            raise ValueError("header-name: expected a header name, or url-login = true")
        if settings.header_name and _HEADER_NAME.fullmatch(settings.header_name) is None:
            raise ValueError("header-name: invalid header name")
        self.settings = settings
        self._clock = clock or time
        # None for a disabled issuer, so that the first issuer's keys do not verify its tokens.
        self._additional: dict[str, TokenVerifier | None] = {}
        for one in settings.also:
            if one.iss in self._additional:
                raise ValueError(f"issuer: iss: {one.iss!r} twice")
            before = previous._additional.get(one.iss) if previous is not None else None
            self._additional[one.iss] = TokenVerifier(one, before) if one.enabled else None
        self._default = None
        if not self._additional or _has_keys(settings):
            self._default = TokenVerifier(
                settings, previous._default if previous is not None else None
            )
        self._cache: GenerationalCache[bytes, VerifiedToken] = GenerationalCache(
            _MAX_CACHED_TOKENS, _CACHE_SECONDS, self._clock
        )

    async def verify(self, text: str) -> tuple[VerifiedToken, bool]:
        """Verifies the token *text*. Returns the verified token, and whether the cache had it.

        Raises TokenError for an invalid token, and NoRights for a token without the required
        rights. Raises KeysUnavailable if the issuer's keys are not available.
        """
        if len(text) > self.settings.max_token_bytes:
            raise TokenError("longer than max-token-bytes")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        now = self._clock()
        known = self._cache.get(digest)
        if known is not None:
            if await known.is_valid(now):
                return known, True
            self._cache.remove(digest)
            now = self._clock()
        token = parse(text, self.settings.max_token_bytes)
        verified = await self.verifier_for(token).verify(token, now)
        self._cache.put(digest, verified)
        return verified, False

    def verifier_for(self, token: ParsedToken) -> TokenVerifier:
        """Returns the verifier for the `iss` of *token*. Raises TokenError for an unknown `iss`."""
        iss = token.claims.get("iss")
        issuer = self._default
        if isinstance(iss, str) and iss in self._additional:
            issuer = self._additional[iss]
        if issuer is None:
            raise TokenError("unknown iss")
        return issuer

    def key_set_ages(self) -> dict[str, float]:
        """Returns how long ago key sets were fetched, in seconds by the host of their URL.

        The oldest one counts for a host. A set that was never fetched is left out.
        """
        ages: dict[str, float] = {}
        for issuer in self._all():
            if (fetched := issuer.source.last_fetch()) is not None:
                host, age = fetched
                ages[host] = max(age, ages.get(host, 0.0))
        return ages

    async def retire(self) -> None:
        """Waits until all running fetches of keys have ended, and forbids further fetches.

        Call it when another IssuerRegistry replaces this object.
        """
        for issuer in self._all():
            await issuer.source.retire()

    async def close(self) -> None:
        """Cancels all running fetches of keys, and forbids further fetches."""
        for issuer in self._all():
            await issuer.source.close()

    def _all(self) -> list[TokenVerifier]:
        return [one for one in (*self._additional.values(), self._default) if one is not None]


def _has_keys(settings: JwtSettings) -> bool:
    try:
        source_option(settings)
    except ValueError as error:
        return "ambiguous" in str(error)
    return True
