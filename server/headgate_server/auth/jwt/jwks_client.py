"""Fetches a JWK set, which has the keys of an issuer, from a URL. Caches the keys.

While the URL's server fails, the pause between two requests grows up to a minute (back-off).
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from headgate_server.auth.errors import KeysUnavailable
from headgate_server.auth.jwt.key_source import KeySource
from headgate_server.auth.jwt.keys import Key, Keys, UnusableKey, from_jwks
from headgate_server.config.jwt import JwtSettings
from headgate_server.telemetry import logging as logs
from headgate_server.upstream.errors import UpstreamError
from headgate_server.upstream.http_client import HTTPClient, split_url

_CONNECT_SECONDS, _FETCH_SECONDS = 5.0, 10.0
_MAX_BYTES = 256 * 1024
_MAX_WAIT_SECONDS = 2.0
_REFRESH_FRACTION = 0.8
_BACK_OFF_SECONDS = (1.0, 60.0)
# An item of a list such as `public, max-age=300`: quoted commas do not separate items.
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_MAX_AGE = re.compile(r'max-age=(?:([0-9]{1,9})|"([0-9]{1,9})")', re.IGNORECASE)


class _FetchFailed(Exception):
    """A fetch of the keys failed. The text is the reason for the log, without the URL."""


class JWKSClient:
    """Implements `KeySource` for the JWK set at a URL, with a cache of the keys.

    Concurrent callers share one request (single flight). Keys are cached for `cache-ttl`, or for
    the response's `max-age` if that is less, but at least for `min-cache-ttl`. A new fetch begins
    after 80 % of that time, so that no verification has to wait for the fetch. With a `cache-ttl`
    of 0, each verification fetches the keys.

    While the URL's server fails, the keys stay valid for `stale-if-error` longer, and the pause
    between requests grows. Raises ValueError for an invalid setting: one line that names the
    option.
    """

    def __init__(self, settings: JwtSettings, clock: Callable[[], float] | None = None) -> None:
        self._settings = settings
        self._clock = clock or monotonic
        self._host = _checked_host(settings)
        tls_context = _ssl_context(settings)
        if settings.jwk_set_bearer_token_file:
            _authorization_header(settings)
        self._client = HTTPClient(_CONNECT_SECONDS, _FETCH_SECONDS, _MAX_BYTES, tls_context)
        self._task: asyncio.Task[None] | None = None
        self._keys: Keys = ()
        self._has_keys = False
        self._refresh_at = self._expires_at = self._fetch_started_at = self._fetched_at = float(
            "-inf"
        )
        self._failures = 0
        self._closed = False

    def last_fetch(self) -> tuple[str, float] | None:
        """Returns the host of the URL, and how long ago the keys came; None before that."""
        return (self._host, self._clock() - self._fetched_at) if self._has_keys else None

    def adopt_cache(self, previous: KeySource) -> None:
        """Takes over the cached keys of *previous* if *previous* fetches from the same URL.

        Call it after a reload of the settings. The next call of `keys` fetches the keys again.
        """
        url = self._settings.jwk_set_url
        if isinstance(previous, JWKSClient) and previous._settings.jwk_set_url == url:
            self._keys, self._has_keys, self._expires_at, self._fetched_at = (
                previous._keys,
                previous._has_keys,
                previous._expires_at,
                previous._fetched_at,
            )

    async def keys(self) -> Keys:
        """Returns the cached keys, after a fetch if they have expired. Raises KeysUnavailable."""
        now = self._clock()
        if now >= self._expires_at:
            if self._may_fetch(now):
                self._start_fetch(now)
            if not (self._has_keys and self._failures):
                await self._await_fetch()  # else the server fails: the expired keys are used
            if self._fetched_at >= now:
                return self._keys  # fetched just now: valid even with a `cache-ttl` of 0
        elif now >= self._refresh_at and self._may_fetch(now):
            self._start_fetch(now)
        return self._valid_keys()

    async def refresh(self) -> Keys:
        """Returns the keys after a new fetch, which may find a key that the issuer has added.

        If a fetch is already in progress, waits for that fetch. Returns the cached keys if the last
        fetch began less than `unknown-kid-refresh-cooldown` ago. Raises KeysUnavailable if there
        are no valid keys.
        """
        now = self._clock()
        cooled = now - self._fetch_started_at >= self._settings.unknown_kid_refresh_cooldown
        if cooled and self._task is None and not self._closed:
            self._start_fetch(now)
        await self._await_fetch()
        # If the last fetch succeeded, its keys are those that `keys` just returned, or newer.
        return self._keys if self._fetched_at >= self._fetch_started_at else self._valid_keys()

    async def retire(self) -> None:
        """Waits for the fetch in progress, closes the connections, and forbids further fetches."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.close()

    async def close(self) -> None:
        """Cancels the fetch in progress, closes the connections, and forbids further fetches."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._client.close()

    def _valid_keys(self) -> Keys:
        stale = self._clock() >= self._expires_at + self._settings.stale_if_error
        if not self._has_keys or stale:
            raise KeysUnavailable
        return self._keys

    def _may_fetch(self, now: float) -> bool:
        if self._task is not None or self._closed:
            return False
        least, most = _BACK_OFF_SECONDS
        pause = min(most, least * 2 ** (self._failures - 1)) if self._failures else 0.0
        return now - self._fetch_started_at >= pause

    def _start_fetch(self, now: float) -> None:
        self._fetch_started_at = now
        self._task = asyncio.ensure_future(self._fetch_and_cache())
        self._task.add_done_callback(self._on_fetch_done)

    def _on_fetch_done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        logs.log_task_error(task)

    async def _await_fetch(self) -> None:
        """Waits until the fetch in progress has ended.

        If keys are cached, waits no longer than until 2 s after the start of the fetch.
        """
        if self._task is None:
            return
        waited = self._clock() - self._fetch_started_at
        left = _MAX_WAIT_SECONDS - waited if self._has_keys else _FETCH_SECONDS
        if left > 0:
            await asyncio.wait([self._task], timeout=left)

    async def _fetch_and_cache(self) -> None:
        try:
            keys, seconds = await self._fetch()
        except _FetchFailed as error:
            self._failures += 1
            logs.log_error(f"jwk-set-url: {self._host}: {error}")
            return
        except Exception:
            self._failures += 1
            raise  # an internal error, which `_on_fetch_done` logs
        self._failures = 0
        now = self._clock()
        kept = {_key_identity(key): key for key in self._keys}
        # An unchanged key stays the same object: cached tokens are valid only with that object.
        self._keys = [kept.get(_key_identity(key), key) for key in keys]
        self._has_keys = True
        self._fetched_at = now
        self._refresh_at, self._expires_at = now + _REFRESH_FRACTION * seconds, now + seconds

    async def _fetch(self) -> tuple[Keys, float]:
        """Fetches the keys. Returns the keys, and the number of seconds for which to cache them."""
        headers = {"Accept": "application/jwk-set+json, application/json"}
        try:
            headers |= _authorization_header(self._settings)
            answer = await self._client.get(self._settings.jwk_set_url, headers)
            if answer.status != 200:
                raise _FetchFailed(f"status {answer.status}")
            keys = from_jwks(answer.body)
        except UpstreamError as error:
            raise _FetchFailed(error.reason) from None
        except (UnusableKey, ValueError) as error:
            raise _FetchFailed(str(error)) from None
        if not keys:
            raise _FetchFailed("no key that can verify a token")
        return keys, self._lifetime(answer.header("cache-control"))

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


def _key_identity(key: Key) -> tuple[object, ...]:
    material = key.material
    numbers = material if isinstance(material, bytes) else _public_numbers(material)
    return key.kid, key.algorithms, numbers


def _public_numbers(material: object) -> object:
    public = getattr(material, "public_numbers", None)
    if public is not None:
        return public()
    raw: bytes = material.public_bytes_raw()  # type: ignore[attr-defined]  # Ed25519, Ed448
    return raw


def _checked_host(settings: JwtSettings) -> str:
    try:
        parts = urlsplit(settings.jwk_set_url)
        port = parts.port
        split_url(settings.jwk_set_url)
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


def _ssl_context(settings: JwtSettings) -> ssl.SSLContext | None:
    if not settings.tls_client_ca:
        return None
    try:
        return ssl.create_default_context(cafile=settings.tls_client_ca)
    except OSError as error:
        reason = (
            error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "not PEM"
        )
        raise ValueError(f"tls-client-ca: {reason}") from None


def _authorization_header(settings: JwtSettings) -> dict[str, str]:
    """Returns the header `Authorization` with the token in `jwk-set-bearer-token-file`.

    Returns {} if that option is not set. Call this before each fetch: a new token may be in the
    file. Raises ValueError if the file is unreadable or invalid.
    """
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
