"""The keys of a JWK set at a URL: fetched when needed, cached, with back-off. Uses aiohttp."""

import asyncio
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import aiohttp

from headgate_server.auth.jwt.key_source import KeysUnavailable, Source
from headgate_server.auth.jwt.keys import Key, Keys, UnusableKey, from_jwks
from headgate_server.config.jwt import JwtSettings
from headgate_server.telemetry import logging as logs

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
_LARGEST = 256 * 1024
_PATIENCE_SECONDS = 2.0
_AHEAD = 0.8
_BACK_OFF_SECONDS = (1.0, 60.0)
# An item of a list such as `public, max-age=300`: quoted commas do not separate items.
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_MAX_AGE = re.compile(r'max-age=(?:([0-9]{1,9})|"([0-9]{1,9})")', re.IGNORECASE)


class _Failed(Exception):
    """The fetch failed. The text is the reason, without the URL."""


class Fetched:
    """A cache of the keys at a URL, with single flight: one request at a time for all callers.

    It never blocks the loop. Keys are cached for `cache-ttl`, or for the response's `max-age` if
    that is less, but at least for `min-cache-ttl`. A refresh begins before that time is over. With
    a `cache-ttl` of 0 each verification fetches; concurrent ones share a fetch.

    While the server fails, the keys stay valid for `stale-if-error` longer, and requests back off.
    Raises ValueError, one line with the option, for invalid settings.
    """

    def __init__(self, settings: JwtSettings, clock: Callable[[], float] | None = None) -> None:
        self._settings = settings
        self._clock = clock or monotonic
        self._host = _host(settings)
        self._tls = _tls(settings)
        if settings.jwk_set_bearer_token_file:
            _authorization(settings)
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._keys: Keys = ()
        self._ever = False
        self._ahead = self._until = self._begun = self._fetched = float("-inf")
        self._failures = 0
        self._closed = False

    def inherit(self, former: Source) -> None:
        """Adopts the cached keys of *former* if its URL is the same; the next use refreshes."""
        url = self._settings.jwk_set_url
        if isinstance(former, Fetched) and former._settings.jwk_set_url == url:
            self._keys, self._ever, self._until = former._keys, former._ever, former._until

    async def keys(self) -> Keys:
        """Returns the current keys, and fetches them if needed. Raises KeysUnavailable."""
        now = self._clock()
        if now >= self._until:
            if self._may_try(now):
                self._begin(now)
            if not (self._ever and self._failures):
                await self._wait()  # else the old keys serve: the server fails
            if self._fetched >= now:
                return self._keys  # also with a `cache-ttl` of 0
        elif now >= self._ahead and self._may_try(now):
            self._begin(now)
        return self._good()

    async def newer(self) -> Keys:
        """Returns the keys after a fetch, if `unknown-kid-refresh-cooldown` has passed.

        A fetch in progress is awaited. Raises KeysUnavailable.
        """
        now = self._clock()
        cooled = now - self._begun >= self._settings.unknown_kid_refresh_cooldown
        if cooled and self._task is None and not self._closed:
            self._begin(now)
        await self._wait()
        # If the last fetch succeeded, its keys are those that `keys` just returned, or newer.
        return self._keys if self._fetched >= self._begun else self._good()

    async def retire(self) -> None:
        """Waits for the fetch in progress, begins no other, and closes the session."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.close()

    async def close(self) -> None:
        """Cancels the fetch in progress, begins no other, and closes the session."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._session is not None:
            await self._session.close()

    def _good(self) -> Keys:
        stale = self._clock() >= self._until + self._settings.stale_if_error
        if not self._ever or stale:
            raise KeysUnavailable
        return self._keys

    def _may_try(self, now: float) -> bool:
        if self._task is not None or self._closed:
            return False
        least, most = _BACK_OFF_SECONDS
        pause = min(most, least * 2 ** (self._failures - 1)) if self._failures else 0.0
        return now - self._begun >= pause

    def _begin(self, now: float) -> None:
        self._begun = now
        self._task = asyncio.ensure_future(self._refresh())
        self._task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logs.report(error, "")

    async def _wait(self) -> None:
        """Waits for the fetch in progress: if there are keys, until 2 s after it began."""
        if self._task is None:
            return
        waited = self._clock() - self._begun
        left = _PATIENCE_SECONDS - waited if self._ever else _TIMEOUT.total
        if left is None or left > 0:
            await asyncio.wait([self._task], timeout=left)

    async def _refresh(self) -> None:
        try:
            keys, seconds = await self._fetch()
        except _Failed as error:
            self._failures += 1
            logs.complain(f"jwk-set-url: {self._host}: {error}")
            return
        except Exception:
            self._failures += 1
            raise  # an internal error, which _done reports
        self._failures = 0
        now = self._clock()
        kept = {_same(key): key for key in self._keys}
        # An equal key stays the same object: cached tokens refer to it.
        self._keys = [kept.get(_same(key), key) for key in keys]
        self._ever = True
        self._fetched = now
        self._ahead, self._until = now + _AHEAD * seconds, now + seconds

    async def _fetch(self) -> tuple[Keys, float]:
        """Returns the keys, and for how many seconds they are valid."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls) if self._tls else None
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=connector)
        headers = {"Accept": "application/jwk-set+json, application/json"}
        try:
            headers |= _authorization(self._settings)
            async with self._session.get(
                self._settings.jwk_set_url, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise _Failed(f"status {answer.status}")
                body = b""
                async for piece in answer.content.iter_chunked(65536):
                    body += piece
                    if len(body) > _LARGEST:
                        raise _Failed(f"more than {_LARGEST} bytes")
                keys = from_jwks(body)
                if not keys:
                    raise _Failed("no key that can verify a token")
                return keys, self._lifetime(",".join(answer.headers.getall("Cache-Control", ())))
        except TimeoutError:
            raise _Failed("no answer in time") from None
        except aiohttp.ClientError as error:
            # Before ValueError: some are ValueErrors, with the URL in their text.
            raise _Failed(type(error).__name__) from None
        except (UnusableKey, ValueError) as error:
            raise _Failed(str(error)) from None

    def _lifetime(self, cache_control: str) -> float:
        settings = self._settings
        seconds = settings.cache_ttl
        if not seconds:
            return 0.0
        for directive in _DIRECTIVE.findall(cache_control):
            found = _MAX_AGE.fullmatch(directive.strip(" \t"))
            if found is not None:
                seconds = min(seconds, float(found[1] or found[2]))
        return max(seconds, settings.min_cache_ttl)


def _same(key: Key) -> tuple[object, ...]:
    material = key.material
    numbers = material if isinstance(material, bytes) else _numbers(material)
    return key.kid, key.algorithms, numbers


def _numbers(material: object) -> object:
    public = getattr(material, "public_numbers", None)
    if public is not None:
        return public()
    raw: bytes = material.public_bytes_raw()  # type: ignore[attr-defined]  # Ed25519, Ed448
    return raw


def _host(settings: JwtSettings) -> str:
    try:
        parts = urlsplit(settings.jwk_set_url)
        port = parts.port
    except ValueError:
        raise ValueError("jwk-set-url: invalid URL") from None
    schemes = ("https", "http") if settings.allow_insecure_jwk_set_url else ("https",)
    if parts.scheme == "http" and "http" not in schemes:
        raise ValueError(
            "jwk-set-url: expected an https URL; allow-insecure-jwk-set-url = true allows http"
        )
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError("jwk-set-url: expected an https URL")
    if "@" in parts.netloc:
        raise ValueError("jwk-set-url: expected a URL without login, see jwk-set-bearer-token-file")
    return f"{parts.hostname}:{port}" if port else parts.hostname


def _tls(settings: JwtSettings) -> ssl.SSLContext | None:
    if not settings.tls_client_ca:
        return None
    try:
        return ssl.create_default_context(cafile=settings.tls_client_ca)
    except OSError as error:
        reason = (
            error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "not PEM"
        )
        raise ValueError(f"tls-client-ca: {reason}") from None


def _authorization(settings: JwtSettings) -> dict[str, str]:
    """Returns the header with the bearer token. The file is read at each fetch: it may change."""
    if not settings.jwk_set_bearer_token_file:
        return {}
    try:
        text = Path(settings.jwk_set_bearer_token_file).read_text("ascii").strip(" \t\r\n")
    except OSError as error:
        raise ValueError(f"jwk-set-bearer-token-file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("jwk-set-bearer-token-file: not ASCII") from None
    if not text or not text.isprintable():
        raise ValueError("jwk-set-bearer-token-file: it is empty, or more than one line")
    return {"Authorization": text if text[:7].lower() == "bearer " else f"Bearer {text}"}
