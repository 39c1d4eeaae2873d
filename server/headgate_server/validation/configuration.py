"""Validates the settings before the server starts, and finds shared secrets that are too short."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headgate_server.auth.jwt.issuers import Issuers
from headgate_server.auth.shared_secret import check_secret
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.loader import GATEWAY, JWT, Configuration, ConfigurationError, load
from headgate_server.config.settings import Settings
from headgate_server.http.origin import is_origin
from headgate_server.http.trusted_proxies import parsed
from headgate_server.validation.gateway import check as check_gateway

_STRONG_BYTES = 32


def configure(
    flags: Mapping[str, Any], environment: Mapping[str, str], path: str | None
) -> Configuration:
    """Returns the validated configuration from *flags*, *environment* and the file at *path*.

    *flags* has the keys of the file, with None for a flag that is not set. Raises
    ConfigurationError.
    """
    configuration = load(flags, environment, path)
    _check(configuration.settings)
    notices = [*configuration.notices, *_weak(configuration.settings)]
    return replace(configuration, notices=notices)


def configure_again(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Returns *settings* with tokens, shared secrets and gateway read again from their source.

    Raises ConfigurationError if any setting is invalid now.
    """
    now = configure(settings.source.flags, environment, settings.source.path).settings
    return replace(
        settings,
        jwt=now.jwt,
        shared_secret=now.shared_secret,
        more_secrets=now.more_secrets,
        gateway=now.gateway,
    )


def _check(settings: Settings) -> None:
    try:
        settings.address()
    except ValueError as error:
        raise ConfigurationError(f"bind-address: {error}") from None
    try:
        parsed(settings.proxies)
    except ValueError:
        expected = "expected networks such as 10.0.0.0/8, with commas between them"
        raise ConfigurationError(f"trusted-proxies: {expected}") from None
    try:
        for secret in settings.shared_secrets:
            check_secret(secret)
    except ValueError as error:
        raise ConfigurationError(f"shared-secret: {error}") from None
    if settings.jwt.enabled:
        _check_jwt(settings.jwt)
    try:
        check_gateway(settings.gateway)
    except ValueError as error:
        raise ConfigurationError(f"[{GATEWAY}] {error}") from None
    for origin in settings.origins:
        if not is_origin(origin):
            raise ConfigurationError(
                f"allowed-origins: {origin!r}: expected origins such as https://grafana.example"
            )
    if settings.exposed() and not settings.allow_insecure:
        raise ConfigurationError(
            f"bind-address {settings.bind_address} without https-enabled:"
            " refused by allow-insecure = false"
        )
    if not settings.store_path or os.path.isdir(settings.store_path):
        raise ConfigurationError(f"store path {settings.store_path!r}: expected a file's name")


def _check_jwt(settings: JwtSettings) -> None:
    try:
        Issuers(settings)
    except ValueError as error:
        raise ConfigurationError(f"[{JWT}] {error}") from None


def _weak(settings: Settings) -> list[str]:
    """Returns a notice for each secret that is short enough to be guessed from a token.

    Raises ConfigurationError for the first one if `enforce-strong-secret` is set.
    """
    secrets = {"shared-secret": settings.shared_secrets} | {
        f"[{GATEWAY}] upstream {one.name!r}: jwt: secret": one.jwt.secrets
        for one in settings.gateway.upstreams
    }
    said = [
        f"{name}: shorter than {_STRONG_BYTES} bytes, so it can be guessed from a token"
        for name, these in secrets.items()
        if any(len(secret.encode()) < _STRONG_BYTES for secret in these)
    ]
    if said and settings.enforce_strong_secret:
        raise ConfigurationError(f"{said[0]}: refused by enforce-strong-secret")
    return said
