"""Writes certificates, and connects to servers that use them."""

import socket
import ssl
from pathlib import Path

import trustme


def write_certificate(authority: trustme.CA, path: Path) -> str:
    """Writes a new certificate for this machine and its private key to *path*; returns *path*."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """Returns a TLS context of clients that trust *authority*."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serial_number(port: int, context: ssl.SSLContext) -> object:
    """Returns the serial number of the certificate that the server on *port* sends."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as safe,
    ):
        certificate = safe.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]
