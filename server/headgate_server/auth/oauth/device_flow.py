"""Sign-in on another device (OAuth 2.0 Device Authorization Grant, RFC 8628).

The server keeps nothing of it: the client has a sealed handle, which any worker can open.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from headgate_server.auth.oauth.account import ProviderAccount
from headgate_server.auth.oauth.errors import (
    AccessRefused,
    ProviderUnavailable,
    SignInRefused,
)
from headgate_server.auth.oauth.provider import OAuthProvider, TokenEndpointError, Tokens
from headgate_server.auth.oauth.sign_in import ProviderSignIn
from headgate_server.auth.sealing import Sealer
from headgate_server.config.oauth import OAuthSettings

_KIND = "device"
_MAX_CODE_CHARS, _MAX_USER_CODE_CHARS, _MAX_URL_CHARS = 4096, 64, 2048
_MAX_HANDLE_CHARS = 1 << 14
_MOST_SECONDS, _DEFAULT_SECONDS = 1800, 600
_INTERVAL, _MOST_INTERVAL = 5, 60
_SLOWER_SECONDS = 5  # RFC 8628, section 3.5


@dataclass(frozen=True, slots=True)
class DeviceHandle:
    """A sign-in that was begun with *provider*. *expires_at* is in Unix seconds."""

    provider: str
    device_code: str = field(repr=False)
    expires_at: int
    interval: int

    @property
    def digest(self) -> bytes:
        """The hash by which the store knows that this handle was used."""
        return hashlib.sha256(f"device\0{self.provider}\0{self.device_code}".encode()).digest()

    def sealed(self, sealer: Sealer) -> str:
        """Returns this handle for the client. Raises OSError as `Sealer.seal` does."""
        return sealer.seal(json.dumps({"kind": _KIND, **asdict(self)}).encode()).decode()


def opened_handle(text: str, sealer: Sealer) -> DeviceHandle:
    """Returns the handle in *text*. Raises AccessRefused if it is not ours, or has expired.

    Raises OSError as `Sealer.open` does.
    """
    opened = None
    if len(text) <= _MAX_HANDLE_CHARS:
        opened = sealer.open(text.encode("latin-1", "replace"), _MOST_SECONDS)
    content: Any = json.loads(opened) if opened is not None else None
    if not isinstance(content, dict) or content.pop("kind", "") != _KIND:
        raise AccessRefused("device: handle", "this sign-in was not begun here, or too long ago")
    handle = DeviceHandle(**content)
    if handle.expires_at <= time.time():
        raise _expired("device: the handle has expired")
    return handle


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What the person needs at the provider. *url_with_code* is "" if the provider has none."""

    url: str
    url_with_code: str
    user_code: str
    expires_in: int
    handle: DeviceHandle


@dataclass(frozen=True, slots=True)
class Pending:
    """The person has not approved the device yet: ask again after *interval* seconds."""

    interval: int


async def begin(provider: OAuthProvider) -> DeviceAuthorization:
    """Asks the device authorization endpoint of *provider* (RFC 8628, section 3.1).

    Raises SignInRefused: 501 if there is no such endpoint.
    """
    endpoint = (await provider.endpoints()).device_authorization
    if not endpoint:
        raise SignInRefused(501, "the provider has no device authorization")
    settings = provider.settings
    body = urlencode({"scope": " ".join(_scopes(settings))})
    found = await provider.request_token(endpoint, body)
    # Google's name of the member differs from the RFC's.
    url = _url(found, "verification_uri") or _url(found, "verification_url")
    user_code = _text(found, "user_code", _MAX_USER_CODE_CHARS)
    device_code = _text(found, "device_code", _MAX_CODE_CHARS)
    if not url or not user_code or not device_code:
        raise ProviderUnavailable("device authorization: a member is missing")
    expires_in = _number(found, "expires_in", _DEFAULT_SECONDS, _MOST_SECONDS)
    interval = _number(found, "interval", _INTERVAL, _MOST_INTERVAL)
    handle = DeviceHandle(settings.name, device_code, int(time.time()) + expires_in, interval)
    with_code = _url(found, "verification_uri_complete")
    return DeviceAuthorization(url, with_code, user_code, expires_in, handle)


async def poll(
    sign_in: ProviderSignIn, handle: DeviceHandle
) -> tuple[ProviderAccount, Tokens] | Pending:
    """Asks the token endpoint once whether the person has approved the device.

    Returns the account and its tokens after the checks of a callback. Raises SignInRefused.
    """
    try:
        return await sign_in.account_of_device(handle.device_code)
    except TokenEndpointError as error:
        match error.code:
            case "authorization_pending":
                return Pending(handle.interval)
            case "slow_down":
                return Pending(handle.interval + _SLOWER_SECONDS)
            case "access_denied":
                reason = "device: access_denied"
                raise AccessRefused(reason, "you, or the provider, said no") from None
            case "expired_token":
                raise _expired("device: expired_token") from None
        raise


def _expired(reason: str) -> AccessRefused:
    return AccessRefused(reason, "the sign-in took too long, begin again")


def _scopes(settings: OAuthSettings) -> tuple[str, ...]:
    scopes = tuple(settings.scopes)
    wants_refresh = settings.use_refresh_token and settings.is_openid and settings.kind != "google"
    return (
        (*scopes, "offline_access") if wants_refresh and "offline_access" not in scopes else scopes
    )


def _text(found: Mapping[str, Any], name: str, most: int) -> str:
    """Returns the member *name*; "" if it is no printable text of at most *most* characters."""
    text = found.get(name)
    if not isinstance(text, str) or len(text) > most or not text.isascii():
        return ""
    return text if text.isprintable() else ""


def _url(found: Mapping[str, Any], name: str) -> str:
    """Returns the member *name*; "" if it is no URL that a browser may be sent to."""
    url = _text(found, name, _MAX_URL_CHARS)
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        return ""
    return url if is_url and " " not in url else ""


def _number(found: Mapping[str, Any], name: str, default: int, most: int) -> int:
    number = found.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        number = default
    return min(number, most)
