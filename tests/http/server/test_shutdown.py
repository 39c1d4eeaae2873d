"""The end of a server: which connections and requests it still waits for."""

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from websockets.sync.server import serve as serve_websocket

from headgate_server.serving import shutdown
from headgate_server.serving.http_protocol import Connection
from support.certificates import client_context, write_certificate
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.local_server import LocalServer
from support.raw_connections import connected, heard, read_until, status
from support.raw_upstream import RawUpstream, raw_upstream
from support.servers import Server
from support.waiting import poll_until

BASIC = f"Authorization: Basic {b64encode(':'.join(ANN).encode()).decode()}\r\n"
LABELS = f"GET /loki/api/v1/labels HTTP/1.1\r\nHost: a\r\n{BASIC}\r\n".encode()
TAIL = (
    "GET /loki/api/v1/tail?query=%7Ba%3D%22b%22%7D HTTP/1.1\r\nHost: a\r\n"
    f"{BASIC}Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


@contextmanager
def slow_store(answer: threading.Event) -> Iterator[RawUpstream]:
    """Runs an upstream store that responds after *answer* is set."""

    def respond(line: socket.socket, request: bytes) -> None:
        assert answer.wait(20)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with raw_upstream(respond) as store:
        yield store


@pytest.fixture
def secure(
    serve: Callable[..., LocalServer], tmp_path: Path, authority: trustme.CA
) -> Callable[[str], LocalServer]:
    """Starts a gateway with HTTPS in front of the store at a URL."""

    def start(url: str) -> LocalServer:
        table = upstream("loki", urls=[url], **{"read-timeout": "20s"})
        server = configured(serve, tmp_path, table)
        assert isinstance(server, LocalServer)
        server.bootstrap(TWO)
        server.stop()
        certificate = write_certificate(authority, tmp_path / "server.pem")
        server.environment |= {
            "HEADGATE_HTTP_HTTPS_ENABLED": "true",
            "HEADGATE_HTTP_HTTPS_CERTIFICATE": certificate,
        }
        return server.start()

    return start


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that waits for a connection in vain waits longer than the tests do."""
    monkeypatch.setattr(shutdown, "GRACE_SECONDS", 600)


@pytest.fixture
def secured(authority: trustme.CA) -> Callable[[Server], ssl.SSLSocket]:
    """Opens a TLS connection to a server."""

    def secured(server: Server) -> ssl.SSLSocket:
        context = client_context(authority)
        return context.wrap_socket(connected(server), server_hostname="127.0.0.1")

    return secured


def begin_the_end(server: LocalServer) -> None:
    server.end_later()
    worker = server._worker
    assert worker is not None
    poll_until(lambda: worker._state.stopping, "the end does not begin")


def ends(server: LocalServer) -> bool:
    poll_until(lambda: not server.running(), "it does not end")
    return server.stop() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("no_grace")
def test_a_tls_client_that_says_no_goodbye_delays_no_end(
    secure: Callable[[str], LocalServer], secured: Callable[[Server], ssl.SSLSocket]
) -> None:
    answer = threading.Event()
    with slow_store(answer) as store:
        server = secure(store.url)
        with secured(server) as idle, secured(server) as busy:
            idle.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            assert status(read_until(idle, b"\r\n\r\n")) == 204
            busy.sendall(LABELS)
            poll_until(lambda: bool(store.requests), "the store gets no request")
            begin_the_end(server)
            answer.set()
            response = read_until(busy, b"{}").lower()
            assert status(response) == 200 and b"connection: close\r\n" in response
            assert ends(server)


@pytest.mark.slow
@pytest.mark.usefixtures("no_grace")
def test_a_tls_handshake_after_the_signal_opens_no_connection(
    secure: Callable[[str], LocalServer],
    secured: Callable[[Server], ssl.SSLSocket],
    authority: trustme.CA,
) -> None:
    answer = threading.Event()
    with slow_store(answer) as store:
        server = secure(store.url)
        with connected(server) as plain, secured(server) as busy:
            # The server has accepted the former connection, too.
            busy.sendall(LABELS)
            poll_until(lambda: bool(store.requests), "the store gets no request")
            begin_the_end(server)
            with client_context(authority).wrap_socket(
                plain, server_hostname="127.0.0.1", suppress_ragged_eofs=True
            ) as late:
                assert heard(late) == b""
            answer.set()
            assert ends(server)


@pytest.mark.slow
@pytest.mark.usefixtures("no_grace")
def test_a_tail_over_tls_delays_no_end(
    secure: Callable[[str], LocalServer], secured: Callable[[Server], ssl.SSLSocket]
) -> None:
    def tail(connection: object) -> None:
        for _ in connection:  # type: ignore[attr-defined]
            pass

    with serve_websocket(tail, "127.0.0.1", 0) as store:
        thread = threading.Thread(target=store.serve_forever)
        thread.start()
        server = secure(f"http://127.0.0.1:{store.socket.getsockname()[1]}")
        with secured(server) as line:
            line.sendall(TAIL)
            assert status(read_until(line, b"\r\n\r\n")) == 101
            begin_the_end(server)
            assert ends(server)
        store.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("no_grace")
def test_a_fault_of_one_connection_loses_no_request_of_another(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    with slow_store(answer) as store:
        server = configured(serve, tmp_path, upstream("loki", urls=[store.url])).bootstrap(TWO)
        assert isinstance(server, LocalServer)
        with connected(server) as line, connected(server) as idle:
            idle.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            read_until(idle, b"\r\n\r\n")
            line.sendall(LABELS)
            poll_until(lambda: bool(store.requests), "the store gets no request")
            good = Connection.shutdown

            def bad(connection: Connection) -> None:
                if connection.transport.get_extra_info("peername") == idle.getsockname():
                    raise ZeroDivisionError
                good(connection)

            monkeypatch.setattr(Connection, "shutdown", bad)
            begin_the_end(server)
            assert heard(idle) == b""
            answer.set()
            assert status(heard(line)) == 200
        assert ends(server)
        assert "ZeroDivisionError" in server.log()
