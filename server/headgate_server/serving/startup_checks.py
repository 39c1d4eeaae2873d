"""Finds reasons why a server cannot start, and security risks in its settings.

The checks create and change nothing. `serve` runs the list CHECKS before it opens anything.
`serve --check` runs CHECKS, and then checks the user store, which `serve` opens anyway.
"""

import os
import stat
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from headgate_engine import AuditFile, StoreError, open_store, parse_location, try_store
from headgate_server.config.secret_files import readable_by_others
from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import ListenError, check_tcp, check_unix
from headgate_server.serving.tls import Certificate, CertificateError

# The minimum that RFC 7518, section 3.2, requires for HS256.
_MIN_SECRET_BYTES = 32
# Prefix lengths: shorter ones have more addresses than any organization (IPv4 2^24, IPv6 2^112).
_MIN_PREFIX_BITS = {4: 8, 6: 16}

START_ERRORS = (StoreError, ListenError, CertificateError)


def _check_certificate(settings: Settings) -> None:
    if settings.https_enabled:
        Certificate(settings.https_certificate, settings.https_private_key)


def _check_tcp(settings: Settings) -> None:
    check_tcp(*settings.address())


def _check_unix(settings: Settings) -> None:
    if settings.unix_socket_enabled:
        check_unix(settings)


def _check_audit_file(settings: Settings) -> None:
    if settings.audit_file:
        try:
            AuditFile(settings.audit_file).check()
        except OSError as error:
            raise StoreError(f"audit file {settings.audit_file}: {error.strerror}") from None


def _check_store(settings: Settings) -> None:
    if settings.is_store_shared:
        open_store(settings.store_path, settings.store_options()).close()
    else:
        try_store(Path(settings.store_path))


CHECKS: tuple[Callable[[Settings], None], ...] = (
    _check_certificate,
    _check_tcp,
    _check_unix,
    _check_audit_file,
)


def check(settings: Settings, *, listens: bool = True) -> None:
    """Runs CHECKS, and raises the first problem: StoreError, ListenError or CertificateError.

    Without *listens*, the server takes over sockets, and needs no free address.
    """
    for one in CHECKS:
        if listens or one not in (_check_tcp, _check_unix):
            one(settings)


def problems(settings: Settings) -> list[str]:
    """Returns a sentence for each reason why a server with *settings* cannot start."""
    found = []
    for one in (*CHECKS, _check_store):
        try:
            one(settings)
        except START_ERRORS as error:
            found.append(str(error))
    return found


def warnings(settings: Settings) -> list[str]:
    """Returns a sentence for each security risk in *settings* and in the files named there."""
    found = []
    if (mode := _insecure_mode(settings.store_path)) is not None:
        found.append(
            f"users other than its owner can use store {settings.store_path} (mode {mode:04o}):"
            " it should have mode 0600"
        )
    if settings.is_store_shared and _crosses_network(settings.store_path):
        found.append(
            f"hashes of passwords cross the network in the clear to store {settings.store_path}:"
            " use etcds://, or sslmode=verify-full"
        )
    if settings.https_enabled:
        found += readable_by_others([settings.https_private_key or settings.https_certificate])
    if settings.is_exposed():
        found.append(
            f"passwords and tokens cross the network in the clear: {settings.bind_address} is not"
            " this machine alone, and https-enabled is not set"
        )
    if 0 < len(settings.shared_secret.encode()) < _MIN_SECRET_BYTES:
        found.append(f"shared-secret has less than {_MIN_SECRET_BYTES} bytes: it can be guessed")
    wide = [one for one in settings.gateway.trusted_proxies if _is_wide(one)]
    if wide:
        found.append(
            f"trusted-proxies has {', '.join(wide)}: any client there can send another client's"
            " address in a header, and its requests are treated as that client's"
        )
    if settings.signup_enabled and (adopting := _adopting_sections(settings)):
        found.append(
            f"adopt-existing of {', '.join(adopting)} with signup-enabled: a person may sign up by"
            " a name first, and then the account of that name is linked to this person's user"
        )
    return found


def _crosses_network(url: str) -> bool:
    location = parse_location(url)
    return not location.tls and not location.is_local


def _adopting_sections(settings: Settings) -> list[str]:
    """Returns the sections whose accounts may take over existing users by their name."""
    sections = [
        ("auth.jwt", settings.jwt.enabled, settings.jwt.adopt_existing),
        ("auth.proxy", settings.proxy.enabled, settings.proxy.adopt_existing),
        *((f"auth.oauth.{it.name}", it.enabled, it.adopt_existing) for it in settings.oauth),
    ]
    return [f"[{name}]" for name, enabled, policy in sections if enabled and policy != "none"]


def _insecure_mode(path: str) -> int | None:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None
    return mode if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


def _is_wide(network: str) -> bool:
    parsed = ip_network(network)
    return parsed.prefixlen < _MIN_PREFIX_BITS[parsed.version]
