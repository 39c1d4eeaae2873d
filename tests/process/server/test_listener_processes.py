"""Renewed certificates, and the socket files of a killed server."""

import http.client
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.certificates import client_context, serial_number, write_certificate
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_renewed_certificate_is_used_after_sighup(
    serve_process: Callable[..., ServerProcess], authority: trustme.CA, tmp_path: Path, workers: str
) -> None:
    context, path = client_context(authority), tmp_path / "server.pem"
    server = serve_process(
        *("--workers", workers),
        HEADGATE_HTTP_HTTPS_ENABLED="true",
        HEADGATE_HTTP_HTTPS_CERTIFICATE=write_certificate(authority, path),
    )
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    connection.request("GET", "/ping")
    assert connection.getresponse().read() == b""
    first = serial_number(server.port, context)
    path.write_text("no certificate at all")
    server.reload()
    poll_until(lambda: "the former certificate stays in use" in server.log(), "no complaint")
    assert "cannot use certificate" in server.log()
    assert serial_number(server.port, context) == first
    write_certificate(authority, path)
    server.reload()
    poll_until(lambda: serial_number(server.port, context) != first, "the new one is used")
    connection.request("GET", "/ping")  # an open connection stays open
    assert connection.getresponse().status == 204
    connection.close()
    with pytest.raises((OSError, http.client.HTTPException)):
        Server.request(server, "GET", "/ping")


def key_of_another(authority: trustme.CA) -> bytes:
    return authority.issue_cert("other").private_key_pem.bytes()


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        (None, None, "No such file"),
        ("", None, "cannot use certificate"),
        ("nonsense", None, "cannot use certificate"),
        ("CERTIFICATE", "OTHER", "key values mismatch"),
    ],
)
def test_a_bad_certificate_is_one_line_and_no_start(
    authority: trustme.CA, tmp_path: Path, content: str | None, key: str | None, reason: str
) -> None:
    path, key_path = tmp_path / "c.pem", tmp_path / "k.pem"
    if content == "CERTIFICATE":
        write_certificate(authority, path)
    elif content is not None:
        path.write_text(content)
    environment = {
        "HEADGATE_HTTP_HTTPS_ENABLED": "true",
        "HEADGATE_HTTP_HTTPS_CERTIFICATE": str(path),
    }
    if key is not None:
        key_path.write_bytes(key_of_another(authority))
        environment["HEADGATE_HTTP_HTTPS_PRIVATE_KEY"] = str(key_path)
    done = run_headgate(
        *("serve", "--bind", "127.0.0.1:0", "--store", str(tmp_path / "s.db")),
        environment=os.environ | environment,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and reason in done.stderr, done.stderr
    assert not (tmp_path / "s.db").exists()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def test_a_unix_socket_serves_its_group_only(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    path = tmp_path / "headgate.sock"
    environment = {
        "HEADGATE_HTTP_UNIX_SOCKET_ENABLED": "true",
        "HEADGATE_HTTP_BIND_SOCKET": str(path),
    }
    server = serve_process(**environment).bootstrap()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    connection = UnixConnection(path)
    connection.request("GET", "/query?u=root&p=Toor-1&q=CREATE+DATABASE+db")
    assert connection.getresponse().read().startswith(b'{"results":[{"statement_id":0')
    connection.close()
    assert server.query("SHOW DATABASES").rows() == [["db"]]
    assert server.stop() == 0
    assert not path.exists()
    server.start()
    server.stop(signal.SIGKILL)
    assert path.exists(), "a killed server leaves it"
    server.start()
    assert path.exists(), "and the next one takes it over"


def test_a_unix_socket_in_use_or_no_socket_is_left_alone(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    path = tmp_path / "headgate.sock"
    environment = {
        "HEADGATE_HTTP_UNIX_SOCKET_ENABLED": "true",
        "HEADGATE_HTTP_BIND_SOCKET": str(path),
    }
    serve(**environment)
    file = tmp_path / "file"
    file.write_text("precious")
    for place, reason in (
        (path, "a server is listening there already"),
        (file, "there is a file of that name"),
        (tmp_path / "no" / "such" / "folder", "No such file"),
        (tmp_path / ("x" * 200), "too long"),
    ):
        done = run_headgate(
            *("serve", "--bind", "127.0.0.1:0", "--store", str(tmp_path / "s.db")),
            environment=os.environ | environment | {"HEADGATE_HTTP_BIND_SOCKET": str(place)},
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert reason in done.stderr, done.stderr
    assert file.read_text() == "precious" and path.exists()
