"""Listeners for HTTPS and the Unix socket: certificates, renewal, file modes, stale sockets."""

import http.client
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.certificates import client_context, write_certificate
from support.servers import ROOT, Server


def test_its_mode_can_be_set(serve: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "headgate.sock"
    serve(
        HEADGATE_HTTP_UNIX_SOCKET_ENABLED="true",
        HEADGATE_HTTP_BIND_SOCKET=str(path),
        HEADGATE_HTTP_UNIX_SOCKET_PERMISSIONS="0600",
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.slow
def test_an_administrator_is_one_over_https_too(
    serve: Callable[..., Server], authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = write_certificate(authority, tmp_path / "server.pem")
    server = serve().bootstrap()
    server.stop()
    server.environment |= {
        "HEADGATE_HTTP_HTTPS_ENABLED": "true",
        "HEADGATE_HTTP_HTTPS_CERTIFICATE": certificate,
    }
    server.start()
    context = client_context(authority)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    connection.request("GET", f"/query?u={ROOT[0]}&p={ROOT[1]}&q=SHOW+USERS")
    assert connection.getresponse().status == 200
    connection.close()
