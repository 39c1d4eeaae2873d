"""Checks the settings of the user store against each other."""

import os

from headgate_engine import EtcdLocation, PostgresLocation, parse_location
from headgate_server.config.settings import Settings

_STALENESS_LIMITS = (1.0, 60.0)


def check_store(settings: Settings) -> None:
    """Raises ValueError, with a sentence that names the option, if the settings contradict."""
    if not settings.is_store_shared:
        if not settings.store_path or os.path.isdir(settings.store_path):
            raise ValueError(f"store path {settings.store_path!r}: expected a file's name")
        return
    location = parse_location(settings.store_path)
    least, most = _STALENESS_LIMITS
    if not least <= settings.store_max_staleness <= most:
        raise ValueError(f"[store] max-staleness: expected {least:.0f}s to {most:.0f}s")
    if settings.store_timeout <= 0:
        raise ValueError("[store] timeout: expected a duration such as 1s")
    if settings.store_give_up < settings.store_timeout:
        raise ValueError("[store] give-up: expected at least the timeout of one call")
    _check_identity(settings, location)
    if any(one.enabled for one in settings.oauth) and not settings.secret_key_file:
        raise ValueError(
            "secret-key-file: providers with a store at a URL need this file,"
            " the same on each machine"
        )
    if not location.tls and not location.is_local and not settings.allow_insecure:
        raise ValueError(
            f"store {settings.store_path} without TLS: refused by allow-insecure = false"
        )


def _check_identity(settings: Settings, location: EtcdLocation | PostgresLocation) -> None:
    """Checks how this client shows to etcd which user it is."""
    if bool(settings.store_certificate_file) != bool(settings.store_private_key_file):
        raise ValueError("[store] certificate-file and private-key-file: expected both or none")
    if isinstance(location, PostgresLocation):
        return  # libpq has further ways to log in
    if bool(settings.store_user) != bool(settings.store_password):
        raise ValueError("[store] user and password-file: expected both or none")
    if not location.tls and (settings.store_ca_file or settings.store_certificate_file):
        raise ValueError("[store] ca-file and certificate-file: only for etcds://")
