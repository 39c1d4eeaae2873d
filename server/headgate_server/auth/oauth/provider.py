"""One provider: its endpoints, the way to it, the exchange of codes and refresh tokens.

Uses the I/O-free parts of Authlib.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

from headgate_server.auth.oauth.documents import ProviderDocuments
from headgate_server.auth.oauth.errors import AccessRefused, ProviderUnavailable
from headgate_server.auth.oauth.id_tokens import IdTokenVerifier
from headgate_server.auth.oauth.login_flow import LoginFlow
from headgate_server.config.oauth import OAuthSettings

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_DISCOVERY_SECONDS = 3600.0
_WELL_KNOWN = "/.well-known/openid-configuration"
_MAX_TOKEN_CHARS = 16_384
_LEAST_LIFETIME, _MOST_LIFETIME, _LIFETIME = 60, 86_400, 3600
# Errors of the token endpoint that say that the code or the refresh token is no longer valid.
_INVALID_GRANT = ("invalid_grant", "bad_verification_code", "bad_refresh_token")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of a provider. "" stands for none."""

    authorization: str
    token: str
    user_info: str = ""
    end_session: str = ""
    device_authorization: str = ""
    jwks: str = ""
    names_issuer: bool = False  # in the callback (RFC 9207)
    secret_in_body: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint issued. *expires_in* is in seconds, 60 to 86,400."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    expires_in: int = _LIFETIME


class OAuthProvider:
    """The provider of *settings*, which sends people back to *redirect_url*.

    Raises ValueError for an invalid setting: one line that names the option.
    """

    def __init__(self, settings: OAuthSettings, redirect_url: str) -> None:
        self.settings = settings
        self.redirect_url = settings.redirect_url or redirect_url
        self.documents = ProviderDocuments(settings)
        self._endpoints: Endpoints | None = None
        self._known_until = 0.0
        self._discovery: asyncio.Task[Endpoints] | None = None
        self._verifier: IdTokenVerifier | None = None

    async def endpoints(self) -> Endpoints:
        """Returns the endpoints: by the settings, or by discovery. Raises ProviderUnavailable.

        Callers at the same time share one discovery.
        """
        if self._endpoints is not None and time.monotonic() < self._known_until:
            return self._endpoints
        if self._discovery is None or self._discovery.done():
            self._discovery = asyncio.ensure_future(self._discovered())
        discovery = self._discovery
        await asyncio.wait([discovery])  # goes on for the others if this caller is cancelled
        try:
            self._endpoints = discovery.result()
        except ProviderUnavailable:
            if self._endpoints is None:
                raise
        self._known_until = time.monotonic() + _DISCOVERY_SECONDS
        assert self._endpoints is not None
        return self._endpoints

    async def _discovered(self) -> Endpoints:
        settings = self.settings
        if not settings.is_openid:
            in_body = settings.kind == "github" or settings.auth_style == "in_params"
            return Endpoints(
                settings.auth_url,
                settings.token_url,
                settings.api_url,
                secret_in_body=in_body and settings.auth_style != "in_header",
            )
        url = settings.issuer.rstrip("/") + _WELL_KNOWN
        found = await self.documents.get("discovery", url)
        if found.get("issuer") != settings.issuer:
            raise ProviderUnavailable("discovery: issuer is not the option issuer")
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        only_body = isinstance(methods, list) and "client_secret_basic" not in methods
        schemes = ("https", "http") if settings.allow_insecure_urls else ("https",)
        return Endpoints(
            settings.auth_url or _url(found, "authorization_endpoint", schemes),
            settings.token_url or _url(found, "token_endpoint", schemes),
            _url(found, "userinfo_endpoint", schemes, required=False),
            _url(found, "end_session_endpoint", schemes, required=False),
            _url(found, "device_authorization_endpoint", schemes, required=False),
            _url(found, "jwks_uri", schemes),
            found.get("authorization_response_iss_parameter_supported") is True,
            only_body if settings.auth_style == "auto" else settings.auth_style == "in_params",
        )

    async def verifier(self) -> IdTokenVerifier:
        """Returns the verifier of the provider's tokens. Raises ProviderUnavailable."""
        endpoints = await self.endpoints()
        if self._verifier is None:
            try:
                self._verifier = IdTokenVerifier(self.settings, endpoints.jwks)
            except ValueError as error:
                raise ProviderUnavailable(f"discovery: jwks_uri: {error}") from None
        return self._verifier

    async def authorization_url(self, flow: LoginFlow) -> str:
        """Returns the URL at which the person signs in at the provider, for *flow*."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        settings, endpoints = self.settings, await self.endpoints()
        more: dict[str, str] = {}
        if settings.use_pkce:
            more["code_challenge"] = create_s256_code_challenge(flow.verifier)
            more["code_challenge_method"] = "S256"
        if settings.is_openid:
            more["nonce"] = flow.nonce
        prompt = "login" if flow.purpose == "again" else settings.login_prompt
        if prompt:
            more["prompt"] = prompt
        if flow.purpose == "again" and settings.is_openid:
            more["max_age"] = "0"
        scopes = settings.scopes
        if settings.use_refresh_token and settings.kind == "google":
            more["access_type"] = "offline"
        elif settings.use_refresh_token and settings.is_openid and "offline_access" not in scopes:
            scopes = (*scopes, "offline_access")
        if settings.kind == "google" and len(settings.allowed_domains) == 1:
            more["hd"] = settings.allowed_domains[0]
        uri: str = prepare_grant_uri(
            endpoints.authorization,
            client_id=settings.client_id,
            response_type="code",
            redirect_uri=self.redirect_url,
            scope=" ".join(scopes),
            state=flow.state,
            **more,
        )
        return uri

    async def exchange(self, code: str, verifier: str, redirect_url: str = "") -> Tokens:
        """Returns the tokens for *code*. *verifier* is that of the flow (PKCE).

        *redirect_url* is that of the flow, if it is not this provider's own. Raises AccessRefused
        and ProviderUnavailable.
        """
        form = {"code": code, "redirect_uri": redirect_url or self.redirect_url}
        if self.settings.use_pkce:
            form["code_verifier"] = verifier
        return await self._tokens("authorization_code", form)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Returns new tokens for *refresh_token*. Raises AccessRefused, ProviderUnavailable."""
        return await self._tokens("refresh_token", {"refresh_token": refresh_token})

    async def exchange_device(self, device_code: str) -> Tokens:
        """Returns the tokens for *device_code* (RFC 8628). Raises as `request_token` does."""
        return await self._tokens(DEVICE_CODE_GRANT, {"device_code": device_code})

    async def _tokens(self, grant_type: str, form: Mapping[str, str]) -> Tokens:
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        endpoints = await self.endpoints()
        body: str = prepare_token_request(grant_type, "", **form)
        found = await self.request_token(endpoints.token, body)
        kind, access_token = found.get("token_type"), found.get("access_token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ProviderUnavailable("token endpoint: token_type is not Bearer")
        if not isinstance(access_token, str) or not 0 < len(access_token) <= _MAX_TOKEN_CHARS:
            raise ProviderUnavailable("token endpoint: no access_token")
        return Tokens(
            access_token,
            _text(found, "refresh_token"),
            _text(found, "id_token"),
            _lifetime(found.get("expires_in")),
        )

    async def request_token(self, url: str, body: str) -> dict[str, Any]:
        """Sends the form *body* to *url* as this client, and returns the object in the response.

        Raises AccessRefused for a grant that is not valid, and ProviderUnavailable.
        """
        headers, body = await self._with_client(url, body)
        posted = await self.documents.post("token endpoint", url, headers, body)
        error = posted.content.get("error")
        if error in _INVALID_GRANT:
            raise AccessRefused(f"token endpoint: {error}", "the sign-in has ended, try again")
        if error is not None or posted.status != 200:
            shown = error if isinstance(error, str) and error.isascii() else "error"
            if not shown.replace("_", "").isalnum() or len(shown) > 40:
                shown = "error"
            raise TokenEndpointError(shown, posted.status)
        return posted.content

    async def _with_client(self, url: str, body: str) -> tuple[dict[str, str], str]:
        """Returns the headers and the body that also show the client's id and secret."""
        from authlib.oauth2.auth import ClientAuth

        settings = self.settings
        if not settings.client_secret:
            client = ClientAuth(settings.client_id, "", "none")
        elif (await self.endpoints()).secret_in_body:
            client = ClientAuth(settings.client_id, settings.client_secret, "client_secret_post")
        else:
            # RFC 6749, section 2.3.1: form-encoded first. Authlib takes both as they are.
            quoted = (quote_plus(settings.client_id), quote_plus(settings.client_secret))
            client = ClientAuth(*quoted, "client_secret_basic")
        _, headers, body = client.prepare("POST", url, {}, body)
        return dict(headers), body

    async def close(self) -> None:
        """Closes all connections."""
        if self._discovery is not None:
            self._discovery.cancel()
        if self._verifier is not None:
            await self._verifier.close()
        self.documents.close()


class TokenEndpointError(ProviderUnavailable):
    """The token endpoint answered with the error *code* (RFC 6749, section 5.2)."""

    def __init__(self, code: str, status: int) -> None:
        is_client = code in ("invalid_client", "incorrect_client_credentials")
        hint = " (see client-id and client-secret)" if is_client else ""
        super().__init__(f"token endpoint: {code}, status {status}{hint}")
        self.code = code


def _url(
    found: Mapping[str, Any], name: str, schemes: Sequence[str], *, required: bool = True
) -> str:
    """Returns the URL *name* in the discovery document *found*, of one of *schemes*."""
    url = found.get(name)
    if isinstance(url, str) and url:
        try:
            parts = urlsplit(url)
            if parts.scheme in schemes and parts.hostname and parts.port != 0:
                return url
        except ValueError:
            pass  # the port is no number, or an address in brackets is none
        raise ProviderUnavailable(f"discovery: {name}: no https URL")
    if required:
        raise ProviderUnavailable(f"discovery: no {name}")
    return ""


def _text(found: Mapping[str, Any], name: str) -> str:
    text = found.get(name, "")
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > _MAX_TOKEN_CHARS:
        raise ProviderUnavailable(f"token endpoint: {name} is no text")
    return text


def _lifetime(seconds: object) -> int:
    """Returns the lifetime *seconds* of an access token within its limits; an hour for none."""
    try:
        number = int(str(seconds)) if seconds is not None else _LIFETIME
    except ValueError:
        number = _LIFETIME
    return max(_LEAST_LIFETIME, min(number, _MOST_LIFETIME))
