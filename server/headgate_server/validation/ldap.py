"""Validates the settings in `[auth.ldap]` that prevent a start, if directories are enabled."""

from importlib.util import find_spec

from headgate_server.auth.ldap.transport import tls_context
from headgate_server.config.ldap import LdapServerSettings, LdapSettings

_LIBRARY = "bonsai"


def check_ldap(settings: LdapSettings) -> None:
    """Raises ValueError, one line, if no login by *settings* can succeed, or if one is insecure."""
    if find_spec(_LIBRARY) is None:
        raise ValueError("enabled: a library is missing: install headgate[ldap]")
    if not settings.servers:
        raise ValueError("servers: expected a table [[auth.ldap.servers]], or config-file")
    for server in settings.servers:
        try:
            _check_server(server, allow_plain=settings.allow_plain)
        except ValueError as error:
            raise ValueError(f"servers {server.name!r}: {error}") from None


def _check_server(server: LdapServerSettings, *, allow_plain: bool) -> None:
    if not (server.is_encrypted or server.is_loopback or allow_plain):
        raise ValueError(
            "passwords would cross the network unencrypted: expected use-ssl or start-tls,"
            " or allow-plain = true"
        )
    if server.binds_directly and server.bind_password:
        raise ValueError("bind-password: with %s in bind-dn, the user's password is used")
    # A bind with a name and an empty password succeeds as anonymous (RFC 4513, section 5.1.2).
    if server.bind_dn and not server.binds_directly and not server.bind_password:
        raise ValueError("bind-password: expected the password of bind-dn, or bind-password-file")
    if server.bind_password and not server.bind_dn:
        raise ValueError("bind-dn: expected the account of bind-password")
    if server.is_encrypted:
        try:
            tls_context(server)
        except OSError as error:
            files = filter(None, (server.root_ca_cert, server.client_cert, server.client_key))
            raise ValueError(f"{', '.join(files)}: {error.strerror or error}") from None
