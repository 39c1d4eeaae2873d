"""Validates the settings of sign-up, of providers, of the proxy in front and of `base-url`."""

from urllib.parse import urlsplit

from headgate_server.config.auth_proxy import ProxySettings
from headgate_server.config.claim_path import compile_path
from headgate_server.config.oauth import OAuthSettings
from headgate_server.config.settings import Settings
from headgate_server.http.cross_site import is_origin
from headgate_server.http.trusted_proxies import UNIX, parse_networks

_URL_OPTIONS = ("issuer", "auth_url", "token_url", "api_url", "redirect_url")
_PATH_OPTIONS = (
    *("login_attribute_path", "email_attribute_path", "name_attribute_path"),
    *("email_verified_attribute_path", "subject_attribute_path"),
)


def check_sign_in(settings: Settings) -> None:
    """Raises ValueError for an invalid combination: one line that names the option."""
    if settings.base_url and not is_origin(settings.base_url):
        raise ValueError(
            f"base-url: {settings.base_url!r}: expected an origin such as https://metrics.example"
        )
    if settings.signup_default_role == "Admin" and not settings.signup_allow_admin:
        raise ValueError(
            "signup-default-role: Admin would make each new account an administrator:"
            " signup-allow-admin = true allows it"
        )
    if settings.signout_redirect_url:
        _check_url("signout-redirect-url", settings.signout_redirect_url, settings.base_url)
    enabled = [one for one in settings.oauth if one.enabled]
    if enabled and not settings.base_url:
        raise ValueError("[http] base-url: expected an address: providers send people back to it")
    if enabled and not settings.login_cookie_name:
        raise ValueError("login-cookie-name: expected a name: providers need sessions")
    for provider in enabled:
        try:
            _check_provider(provider, settings)
        except ValueError as error:
            raise ValueError(f"[auth.oauth.{provider.name}] {error}") from None
    if settings.proxy.enabled:
        try:
            _check_proxy(settings.proxy)
        except ValueError as error:
            raise ValueError(f"[auth.proxy] {error}") from None


def _check_provider(provider: OAuthSettings, settings: Settings) -> None:
    if not provider.client_id:
        raise ValueError("client-id: expected the id of the client")
    if provider.is_openid and not provider.issuer:
        raise ValueError("issuer: expected the URL of the OpenID provider")
    if provider.is_openid and not provider.use_pkce:
        raise ValueError("use-pkce: false is refused for an OpenID provider")
    if provider.kind == "azuread" and "{" in provider.issuer:
        raise ValueError("issuer: expected the tenant's own URL, without {tenantid}")
    if provider.kind == "oauth2":
        for key in ("auth-url", "token-url", "api-url"):
            if not getattr(provider, key.replace("-", "_")):
                raise ValueError(f"{key}: expected a URL")
    for field in _URL_OPTIONS:
        if url := getattr(provider, field):
            insecure = provider.allow_insecure_urls or field == "redirect_url"
            _check_endpoint(field.replace("_", "-"), url, insecure=insecure)
    if provider.signout_redirect_url:
        _check_url("signout-redirect-url", provider.signout_redirect_url, settings.base_url)
    if provider.rights.grant_sync == "ephemeral":
        raise ValueError("grant-sync: expected persist or off: later requests bring no claims")
    if bool(provider.tls_client_cert) != bool(provider.tls_client_key):
        raise ValueError("tls-client-cert and tls-client-key: expected both")
    if settings.oauth_allow_insecure_email_lookup and not provider.restricts_access:
        raise ValueError(
            "oauth-allow-insecure-email-lookup needs allowed-domains, allowed-organizations or"
            " allowed-groups here"
        )
    for field in _PATH_OPTIONS:
        compile_path(field.replace("_", "-"), getattr(provider, field))
    from headgate_server.auth.jwt.claim_grants import ClaimMapper  # on demand: needs JMESPath

    ClaimMapper(provider.rights)


def _check_endpoint(key: str, url: str, *, insecure: bool) -> None:
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
        parts = urlsplit("")
    schemes = ("https", "http") if insecure else ("https",)
    if not is_valid or parts.scheme not in schemes or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{key}: expected an https URL without login")


def _check_url(key: str, url: str, base_url: str) -> None:
    own = bool(base_url) and (url + "/").startswith(base_url.rstrip("/") + "/")
    if not own and not (url.startswith("https://") and url.isprintable() and " " not in url):
        raise ValueError(f"{key}: expected an https URL, or one of base-url")


def _check_proxy(proxy: ProxySettings) -> None:
    if not proxy.whitelist:
        raise ValueError("whitelist: expected the addresses of the proxy, such as 127.0.0.1")
    try:
        parse_networks(tuple(one for one in proxy.whitelist if one != UNIX))
    except ValueError:
        raise ValueError(
            "whitelist: expected addresses, networks such as 10.0.0.0/24, or unix"
        ) from None
    if not proxy.header_name or not proxy.header_name.isascii():
        raise ValueError("header-name: expected the name of a header")
    if proxy.rights.grant_sync == "ephemeral":
        raise ValueError("grant-sync: expected persist or off")
