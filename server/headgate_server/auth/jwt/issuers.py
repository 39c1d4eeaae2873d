"""All issuers whose tokens are taken, and the tokens that were verified lately."""

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
    """Verifies tokens by *settings*: of further issuers those with exactly their `iss`, all others
    of the first.

    Of *former*, whose place it takes, it goes on with the keys that were fetched. Raises
    ValueError, one line with the option, for what cannot be.
    """

    def __init__(
        self,
        settings: JwtSettings,
        clock: Callable[[], float] | None = None,
        former: "Issuers | None" = None,
    ) -> None:
        if not settings.header_name and not settings.url_login:
            raise ValueError("header-name: expected a header's name, or url-login = true")
        if settings.header_name and _HEADER.fullmatch(settings.header_name) is None:
            raise ValueError("header-name: that is no header's name")
        self.settings = settings
        self._clock = clock or time
        # None for one that is switched off: its tokens are not for anybody else.
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
        """What the token *text* proves, and whether that was known from before.

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
            # While it was looked into, somebody else may have found the same.
            self._remembered.pop(digest, None)
            now = self._clock()
        token = parse(text, self.settings.max_token_bytes)
        verified = await self.issuer(token).verify(token, now)
        self._remember(digest, verified, now)
        return verified, False

    def issuer(self, token: Parsed) -> Issuer:
        """Whose *token* is, as it says itself. Raises TokenError."""
        iss = token.claims.get("iss")
        issuer = self._first
        if isinstance(iss, str) and iss in self._further:
            issuer = self._further[iss]
        if issuer is None:
            raise TokenError("iss is nobody's here")
        return issuer

    def _remember(self, digest: bytes, verified: Verified, now: float) -> None:
        self._remembered[digest] = _Remembered(verified, now + _REMEMBERED_SECONDS)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    async def retire(self) -> None:
        """Lets others take its place: what is being fetched comes to its end, no more begins."""
        for issuer in self._all():
            await issuer.source.retire()

    async def close(self) -> None:
        """Ends what is being fetched."""
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
