"""Old versions of TLS, offered by openssl."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.servers import Server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certify(authority: trustme.CA, path: Path) -> str:
    """Writes a new certificate and its key to *path*."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serial(port: int, context: ssl.SSLContext) -> object:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as line,
        context.wrap_socket(line, server_hostname="127.0.0.1") as safe,
    ):
        certificate = safe.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]


def test_old_tls_is_refused(
    serve: Callable[..., Server], authority: trustme.CA, tmp_path: Path
) -> None:
    server = serve(
        HEADGATE_HTTP_HTTPS_ENABLED="true",
        HEADGATE_HTTP_HTTPS_CERTIFICATE=certify(authority, tmp_path / "server.pem"),
    )
    context = trusting(authority)
    assert serial(server.port, context)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
