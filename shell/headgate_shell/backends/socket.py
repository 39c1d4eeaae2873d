"""A connection to where the session says: host and port, a unix socket, with TLS or without."""

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_shell.backends.proxy import Proxy
    from headgate_shell.session import Session

_TIMEOUT_SECONDS = 60


def dial(session: "Session", proxy: "Proxy | None") -> socket.socket:
    """A connected socket, to *proxy* if there is one; with TLS, through it.

    Raises OSError, of which TLS's errors are a kind, NotHttp, and ValueError for what is no port.
    """
    host, port = (proxy.host, proxy.port) if proxy else (session.host, session.port)
    if not 0 <= port < 65536:
        raise ValueError("invalid port")
    connection = _unix(session.socket) if session.socket else _tcp(host, port)
    try:
        if session.ssl and not session.socket:
            if proxy:
                proxy.tunnel(connection, session.address_with_port)
            connection = _secured(connection, session)
        # As long as the server is there a statement may take its time.
        connection.settimeout(None)
        return connection
    except BaseException:
        connection.close()
        raise


def proxy_for(session: "Session") -> "Proxy | None":
    """The proxy that the environment names for the session's server, by Go's rules."""
    # Most have none, and what reads the variables takes its time to load.
    if session.socket or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from headgate_shell.backends.proxy import from_environment

    return from_environment(session.host, session.port, ssl=session.ssl)


def _tcp(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_TIMEOUT_SECONDS)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _secured(connection: socket.socket, session: "Session") -> socket.socket:
    import ssl

    context = ssl.create_default_context()
    if session.unsafe_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=session.host)
