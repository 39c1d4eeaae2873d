"""Old versions of TLS, offered by openssl."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import trustme

from support.certificates import client_context, serial_number, write_certificate
from support.servers import Server


def test_old_tls_is_refused(
    serve: Callable[..., Server], authority: trustme.CA, tmp_path: Path
) -> None:
    server = serve(
        HEADGATE_HTTP_HTTPS_ENABLED="true",
        HEADGATE_HTTP_HTTPS_CERTIFICATE=write_certificate(authority, tmp_path / "server.pem"),
    )
    context = client_context(authority)
    assert serial_number(server.port, context)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
