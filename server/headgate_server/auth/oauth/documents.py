"""Fetches JSON objects from a provider: bounded, without redirects, over verified TLS."""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from headgate_server.auth.jwt.token_parser import TokenError, parse_json_object
from headgate_server.auth.oauth.errors import ProviderUnavailable
from headgate_server.config.oauth import OAuthSettings
from headgate_server.upstream.errors import UpstreamError
from headgate_server.upstream.http_client import HTTPClient, HTTPResponse

_CONNECT_SECONDS, _TOTAL_SECONDS = 5.0, 10.0
_MAX_BYTES = 1 << 20
_MAX_PAGES = 10
_FORM = "application/x-www-form-urlencoded"


class ProviderDocuments:
    """Fetches documents of the provider of *settings*.

    Raises ValueError for a file of TLS that cannot be used: one line that names the option.
    """

    def __init__(self, settings: OAuthSettings) -> None:
        self._client = HTTPClient(
            _CONNECT_SECONDS, _TOTAL_SECONDS, _MAX_BYTES, _tls_context(settings)
        )
        self._schemes = ("https", "http") if settings.allow_insecure_urls else ("https",)

    async def get(self, what: str, url: str, access_token: str = "") -> dict[str, Any]:
        """Returns the JSON object at *url*. *what* names it for the log.

        Raises ProviderUnavailable.
        """
        response = await self._get(what, url, access_token)
        return _object(what, response)

    async def get_pages(self, what: str, url: str, access_token: str) -> list[dict[str, Any]]:
        """Returns the objects of the JSON lists at *url* and its next pages, at most ten.

        `Link` with `rel="next"` names the next page (RFC 8288), which is on the same host. Raises
        ProviderUnavailable.
        """
        found: list[dict[str, Any]] = []
        for _ in range(_MAX_PAGES):
            response = await self._get(what, url, access_token)
            items = _value(what, response)
            if not isinstance(items, list):
                raise ProviderUnavailable(f"{what}: no JSON list")
            found += [item for item in items if isinstance(item, dict)]
            following = _next_page(url, response.header("link"))
            if not following:
                break
            url = following
        return found

    async def post(self, what: str, url: str, headers: Mapping[str, str], form: str) -> "Posted":
        """Sends *form* to *url*, and returns the status and the JSON object in the response.

        Raises ProviderUnavailable for no answer, a 5xx, and content that is no JSON object.
        """
        self._check(what, url)
        fields = {"Accept": "application/json", "Content-Type": _FORM, **headers}
        try:
            response = await self._client.post(url, fields, form.encode())
        except (UpstreamError, ValueError) as error:
            raise ProviderUnavailable(f"{what}: {_reason(error)}") from None
        if response.status >= 500:
            raise ProviderUnavailable(f"{what}: status {response.status}")
        return Posted(response.status, _object(what, response))

    async def _get(self, what: str, url: str, access_token: str) -> HTTPResponse:
        self._check(what, url)
        headers = {"Accept": "application/json"}
        if access_token:
            headers["Authorization"] = f"Bearer {access_token}"
        try:
            response = await self._client.get(url, headers)
        except (UpstreamError, ValueError) as error:
            raise ProviderUnavailable(f"{what}: {_reason(error)}") from None
        if response.status != 200:
            raise ProviderUnavailable(f"{what}: status {response.status}")
        return response

    def _check(self, what: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in self._schemes or not parts.hostname:
            raise ProviderUnavailable(f"{what}: no https URL")

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()


class Posted:
    """The response to a form: the *status*, and the JSON object *content*."""

    def __init__(self, status: int, content: dict[str, Any]) -> None:
        self.status, self.content = status, content


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, UpstreamError) else "invalid URL"


def _value(what: str, response: HTTPResponse) -> Any:
    try:
        return parse_json_object(b'{"value":' + response.body + b"}", what)["value"]
    except (TokenError, KeyError):
        raise ProviderUnavailable(f"{what}: no JSON") from None


def _object(what: str, response: HTTPResponse) -> dict[str, Any]:
    try:
        return parse_json_object(response.body, what)
    except TokenError as error:
        raise ProviderUnavailable(str(error)) from None


def _next_page(url: str, link: str) -> str:
    """Returns the URL of the next page in the header `Link`; "" for none, or another host's."""
    for part in link.split(","):
        target, _, parameters = part.strip().partition(">")
        if target.startswith("<") and 'rel="next"' in parameters.replace(" ", ""):
            try:
                following = urljoin(url, target[1:])
                return following if urlsplit(following)[:2] == urlsplit(url)[:2] else ""
            except ValueError:
                return ""  # no URL
    return ""


def _tls_context(settings: OAuthSettings) -> ssl.SSLContext | None:
    if not settings.tls_client_ca and not settings.tls_client_cert:
        return None
    option = "tls-client-ca"
    try:
        context = ssl.create_default_context(cafile=settings.tls_client_ca or None)
        option = "tls-client-cert"
        if settings.tls_client_cert:
            context.load_cert_chain(settings.tls_client_cert, settings.tls_client_key)
    except OSError as error:
        plain = error.errno and not isinstance(error, ssl.SSLError)
        raise ValueError(f"{option}: {error.strerror if plain else 'not PEM'}") from None
    return context
