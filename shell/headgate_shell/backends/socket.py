"""Opens a TCP or Unix socket to a server, through an HTTP proxy and with TLS if set."""

import os
import socket
from typing import TYPE_CHECKING

from headgate_shell.backends.base import ConnectionSettings

if TYPE_CHECKING:
    from headgate_shell.backends.proxy import Proxy

_CONNECT_TIMEOUT_SECONDS = 60


def dial(settings: ConnectionSettings, proxy: "Proxy | None") -> socket.socket:
    """Returns a socket connected to *proxy*, or to the server if *proxy* is None.

    With TLS, *proxy* opens a tunnel to the server. Connecting times out after 60 s; later reads
    have no timeout. Raises OSError (including ssl.SSLError) if connecting fails. Raises
    ProtocolError if *proxy* opens no tunnel, and ValueError for an invalid port.
    """
    host, port = (proxy.host, proxy.port) if proxy else (settings.host, settings.port)
    if not 0 <= port < 65536:
        raise ValueError("invalid port")
    connection = _connect_unix(settings.socket) if settings.socket else _connect_tcp(host, port)
    try:
        if settings.ssl and not settings.socket:
            if proxy:
                proxy.open_tunnel(connection, settings.address_with_port)
            connection = _wrap_tls(connection, settings)
        # A statement may take long. TCP's keep-alive detects a server that has gone.
        connection.settimeout(None)
        return connection
    except BaseException:
        connection.close()
        raise


def proxy_for(settings: ConnectionSettings) -> "Proxy | None":
    """Returns the proxy that the environment sets for the server, by Go's rules, or None."""
    # Most environments set no proxy, and `urllib.request` takes long to import.
    if settings.socket or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from headgate_shell.backends.proxy import proxy_from_environment

    return proxy_from_environment(settings.host, settings.port, ssl=settings.ssl)


def _connect_tcp(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _connect_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CONNECT_TIMEOUT_SECONDS)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _wrap_tls(connection: socket.socket, settings: ConnectionSettings) -> socket.socket:
    import ssl

    context = ssl.create_default_context()
    if settings.unsafe_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=settings.host)
