"""Validates the settings at the start and at a reload, and finds secrets that are too short."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headgate_server.config.effective import format_duration
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.ldap import LDAP_SECTION, LdapSettings
from headgate_server.config.loader import (
    GATEWAY_SECTION,
    JWT_SECTION,
    Configuration,
    ConfigurationError,
    load,
)
from headgate_server.config.settings import Settings
from headgate_server.http.cross_site import ANY_ORIGIN, is_origin
from headgate_server.http.trusted_proxies import parse_networks
from headgate_server.validation.sign_in import check_sign_in
from headgate_server.validation.store import check_store

_MIN_SECRET_BYTES = 32
_COOKIE_NAME_PATTERN = r"[A-Za-z0-9_-]{0,64}"  # a token of RFC 6265, without signs


# Options that a reload changes, beside tables and secrets.
_RELOADED_OPTIONS = (
    *("base_url", "signup_enabled", "signup_default_role", "signup_databases"),
    *("signup_require_approval", "signup_max_pending", "signup_allow_admin", "role_databases"),
    *("oauth_allow_insecure_email_lookup", "oauth_auto_login", "signout_redirect_url"),
    *("disable_signout_menu", "disable_login_form", "disable_login", "protected_roles"),
    *("max_login_attempts", "external_passwords", "cookie_on_gateway", "console_title"),
    *("console_page_size", "console_databases_shown"),
)


def configure(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> Configuration:
    """Returns the validated configuration from *flags*, *environment* and the file at *path*.

    The keys of *flags* are those of the file, such as `http.bind-address`. The value None stands
    for a flag that is not set. Raises ConfigurationError.
    """
    configuration = load(flags, environment, path)
    _check(configuration.settings)
    notices = [*configuration.notices, *_weak_secret_notices(configuration.settings)]
    return replace(configuration, notices=notices)


def reload_settings(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Returns *settings* with the tables in `[auth]`, the secrets and `[gateway]` read again.

    So are `base-url`, and the options of sign-ups, sign-ins and sign-outs.

    Reads them from *environment*, and from the flags and the file that *settings* came from. All
    other settings stay unchanged. Raises ConfigurationError if any setting is invalid now.
    """
    current = configure(settings.source.flags, environment, settings.source.path).settings
    return replace(
        settings,
        jwt=current.jwt,
        **{name: getattr(current, name) for name in _RELOADED_OPTIONS},
        oauth=current.oauth,
        ldap=current.ldap,
        proxy=current.proxy,
        anonymous=current.anonymous,
        basic=current.basic,
        shared_secret=current.shared_secret,
        additional_secrets=current.additional_secrets,
        gateway=current.gateway,
    )


def check_exposure(settings: Settings) -> None:
    """Raises ConfigurationError if passwords may cross a network in the clear, and must not."""
    if settings.is_exposed() and not settings.allow_insecure:
        raise ConfigurationError(
            f"bind-address {settings.bind_address} without https-enabled:"
            " refused by allow-insecure = false"
        )


def _check(settings: Settings) -> None:
    try:
        settings.address()
    except ValueError as error:
        raise ConfigurationError(f"bind-address: {error}") from None
    try:
        parse_networks(settings.trusted_proxies)
    except ValueError:
        expected = "expected networks such as 10.0.0.0/8, with commas between them"
        raise ConfigurationError(f"trusted-proxies: {expected}") from None
    if settings.proxy_protocol and not settings.trusted_proxies:
        raise ConfigurationError(
            "proxy-protocol needs trusted-proxies, the networks of proxies that send PROXY headers"
        )
    if settings.shared_secrets:
        _check_secrets(settings.shared_secrets)
    if settings.jwt.enabled:
        _check_jwt(settings.jwt)
    if settings.ldap.enabled:
        _check_ldap(settings.ldap)
    try:
        if settings.gateway.upstreams or settings.gateway.otlp_endpoint:
            # Imported on demand: only a gateway needs the adapters of upstream stores.
            from headgate_server.validation.gateway import check_gateway

            check_gateway(settings.gateway)
    except ValueError as error:
        raise ConfigurationError(f"[{GATEWAY_SECTION}] {error}") from None
    for origin in settings.allowed_origins:
        if origin != ANY_ORIGIN and not is_origin(origin):
            raise ConfigurationError(
                f"allowed-origins: {origin!r}: expected origins such as https://grafana.example"
            )
    _check_sessions(settings)
    try:
        check_sign_in(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    check_exposure(settings)
    try:
        check_store(settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _check_sessions(settings: Settings) -> None:
    if not re.fullmatch(_COOKIE_NAME_PATTERN, settings.login_cookie_name):
        raise ConfigurationError(
            f"login-cookie-name: {settings.login_cookie_name!r}: expected letters, digits, - and _"
        )
    inactive = settings.login_maximum_inactive_lifetime_duration
    if settings.token_rotation_interval_minutes * 60 >= inactive:
        raise ConfigurationError(
            f"token-rotation-interval-minutes {settings.token_rotation_interval_minutes} is not"
            f" less than login-maximum-inactive-lifetime-duration {format_duration(inactive)}"
        )


def _check_secrets(secrets: Sequence[str]) -> None:
    # Imported on demand: the libraries of tokens take a fifth of a server's start.
    from headgate_server.auth.shared_secret import check_secret

    try:
        for secret in secrets:
            check_secret(secret)
    except ValueError as error:
        raise ConfigurationError(f"shared-secret: {error}") from None


def _check_jwt(settings: JwtSettings) -> None:
    from headgate_server.auth.jwt.issuers import IssuerRegistry  # on demand, see `_check_secrets`

    try:
        IssuerRegistry(settings)
    except ValueError as error:
        raise ConfigurationError(f"[{JWT_SECTION}] {error}") from None


def _check_ldap(settings: LdapSettings) -> None:
    from headgate_server.validation.ldap import check_ldap  # on demand, see `_check_secrets`

    try:
        check_ldap(settings)
    except ValueError as error:
        raise ConfigurationError(f"[{LDAP_SECTION}] {error}") from None


def _weak_secret_notices(settings: Settings) -> list[str]:
    """Returns a notice for each setting with a secret that is too short.

    An attacker with one signed token can find a short secret by trying all secrets. If
    `enforce-strong-secret` is set, raises ConfigurationError for the first such setting.
    """
    secrets = {"shared-secret": settings.shared_secrets} | {
        f"[{GATEWAY_SECTION}] upstream {one.name!r}: jwt: secret": one.jwt.secrets
        for one in settings.gateway.upstreams
    }
    notices = [
        f"{name}: shorter than {_MIN_SECRET_BYTES} bytes, so it can be guessed from a token"
        for name, these in secrets.items()
        if any(len(secret.encode()) < _MIN_SECRET_BYTES for secret in these)
    ]
    if notices and settings.enforce_strong_secret:
        raise ConfigurationError(f"{notices[0]}: refused by enforce-strong-secret")
    return notices
