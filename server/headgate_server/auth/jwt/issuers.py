"""All accepted issuers, and a cache of recently verified tokens."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from headgate_server.auth.jwt.jws import Parsed, TokenError, parse
from headgate_server.auth.jwt.key_source import source_option
from headgate_server.auth.jwt.verifier import Issuer, Verified
from headgate_server.config.jwt import JwtSettings

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Remembered:
    verified: Verified
    until: float


class Issuers:
    """Verifies tokens by *settings*. Raises ValueError, one line with the option, if they are
    invalid.

    A further issuer verifies the tokens with exactly its `iss`; the first issuer verifies all
    others. The fetched keys of *former*, which this object replaces, are adopted.
    """

    def __init__(
        self,
        settings: JwtSettings,
        clock: Callable[[], float] | None = None,
        former: "Issuers | None" = None,
    ) -> None:
        if not settings.header_name and not settings.url_login:
            raise ValueError("header-name: expected a header name, or url-login = true")
        if settings.header_name and _HEADER.fullmatch(settings.header_name) is None:
            raise ValueError("header-name: invalid header name")
        self.settings = settings
        self._clock = clock or time
        # None for a disabled issuer: the first one must not verify its tokens.
        self._further: dict[str, Issuer | None] = {}
        for one in settings.also:
            if one.iss in self._further:
                raise ValueError(f"issuer: iss: {one.iss!r} twice")
            before = former._further.get(one.iss) if former is not None else None
            self._further[one.iss] = Issuer(one, before) if one.enabled else None
        self._first = None
        if not self._further or _has_keys(settings):
            self._first = Issuer(settings, former._first if former is not None else None)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def verify(self, text: str) -> tuple[Verified, bool]:
        """Returns the verified token *text*, and whether it was cached.

        Raises TokenError, NoRights, KeysUnavailable.
        """
        if len(text) > self.settings.max_token_bytes:
            raise TokenError("longer than max-token-bytes")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        now = self._clock()
        known = self._remembered.get(digest)
        if known is not None:
            if now < known.until and await known.verified.holds(now):
                return known.verified, True
            # During the await another task may have removed it.
            self._remembered.pop(digest, None)
            now = self._clock()
        token = parse(text, self.settings.max_token_bytes)
        verified = await self.issuer(token).verify(token, now)
        self._remember(digest, verified, now)
        return verified, False

    def issuer(self, token: Parsed) -> Issuer:
        """Returns the issuer that *token* itself names. Raises TokenError."""
        iss = token.claims.get("iss")
        issuer = self._first
        if isinstance(iss, str) and iss in self._further:
            issuer = self._further[iss]
        if issuer is None:
            raise TokenError("unknown iss")
        return issuer

    def _remember(self, digest: bytes, verified: Verified, now: float) -> None:
        self._remembered[digest] = _Remembered(verified, now + _REMEMBERED_SECONDS)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    async def retire(self) -> None:
        """Waits for the fetches in progress, and begins no others: another object takes over."""
        for issuer in self._all():
            await issuer.source.retire()

    async def close(self) -> None:
        """Cancels the fetches in progress."""
        for issuer in self._all():
            await issuer.source.close()

    def _all(self) -> list[Issuer]:
        return [one for one in (*self._further.values(), self._first) if one is not None]


def _has_keys(settings: JwtSettings) -> bool:
    try:
        source_option(settings)
    except ValueError as error:
        return "ambiguous" in str(error)
    return True
