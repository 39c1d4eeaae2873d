"""Connections of the shell to a server: one request per socket, directly or by a proxy."""

import base64
import socket
import threading
from collections.abc import Iterator

import pytest

from headgate_shell.backends.base import ConnectionFailed, ConnectionSettings
from headgate_shell.backends.http1 import ProtocolError, send_request
from headgate_shell.backends.proxy import Proxy, proxy_from_environment
from headgate_shell.session import Session


class Canned:
    """A server that sends the same bytes to every client, and stores the requests."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            with connection:
                self.asked.append(connection.recv(65536))
                connection.sendall(self._answer)

    def close(self) -> None:
        # Without shutdown(), accept() in the thread would not return.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def proxy() -> Iterator[Canned]:
    canned = Canned(b"HTTP/1.1 200 OK\r\nX-Influxdb-Version: 9\r\nContent-Length: 0\r\n\r\n")
    yield canned
    canned.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi", (200, "hi")),
        (
            b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            (401, "hi"),
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil closed", (200, "until closed")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", (204, "")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "before the answer's end"),
        (b"", "before the answer's end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhHTTP/1.1 500 No\r\n\r\n", (200, "h")),
        (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "speak HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "before the answer's end"),
        (b"SSH-2.0-OpenSSH_9\r\n", "does not speak HTTP"),
    ],
)
def test_an_answer_is_read_to_its_end(answer: bytes, expected: tuple[int, str] | str) -> None:
    canned = Canned(answer)
    try:
        with socket.create_connection(("127.0.0.1", canned.port)) as connection:
            if isinstance(expected, str):
                with pytest.raises(ProtocolError, match=expected):
                    send_request(connection, "GET", "/ping", {"Host": "a"}, None)
                return
            found = send_request(connection, "POST", "/query", {"Host": "a"}, b"q")
        assert (found.status, found.body.decode()) == expected
        assert canned.asked == [b"POST /query HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nq"]
    finally:
        canned.close()


@pytest.mark.parametrize(("target", "text"), [("/a b", "x"), ("/\n", "x"), ("/", "x\r\nY: z")])
def test_a_request_cannot_be_cut_into_two(target: str, text: str) -> None:
    here, there = socket.socketpair()
    with here, there, pytest.raises(ValueError, match="control character"):
        send_request(here, "GET", target, {"Host": text}, None)


def test_a_proxy_of_the_environment_is_asked(
    proxy: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:s%20x@127.0.0.1:{proxy.port}")
    connection = ConnectionSettings("db.invalid", 8086, username="root", password="pw")
    assert Session(connection).ping() == "9"
    request = proxy.asked[0].decode()
    assert request.startswith("GET http://db.invalid:8086/ping HTTP/1.1\r\n")
    login = base64.b64encode(b"me:s x").decode()
    assert f"Proxy-Authorization: Basic {login}\r\n" in request


def test_tls_goes_through_a_tunnel_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = Canned(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
    try:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{refusing.port}")
        with pytest.raises(ConnectionFailed, match="the proxy answered 407"):
            Session(ConnectionSettings("db.invalid", 443, "root", "Zk7", ssl=True)).ping()
        # The credentials for the server are not sent to the proxy.
        host = b"Host: db.invalid:443\r\n\r\n"
        assert refusing.asked == [b"CONNECT db.invalid:443 HTTP/1.1\r\n" + host]
    finally:
        refusing.close()


@pytest.mark.parametrize(
    ("host", "no_proxy", "expected"),
    [
        ("db1", "", Proxy("proxy", 3128)),
        ("127.0.0.2", "", None),
        ("::1", "", None),
        ("localhost", "", None),
        ("db1.example.com", "example.com", None),
        ("db1", "*", None),
        ("db1", "a, *", None),
        ("10.1.2.3", "10.0.0.0/8", None),
        ("11.1.2.3", "10.0.0.0/8", Proxy("proxy", 3128)),
        ("fd00::7", "fd00::/8", None),
        ("x.corp.example", "*.corp.example", None),
        ("x.corp.example", ".corp.example", None),
        ("corp.example", ".corp.example", Proxy("proxy", 3128)),
        ("xcorp.example", "corp.example", Proxy("proxy", 3128)),
        ("db1", "db1:8086", None),
        ("db1", "db1:8087", Proxy("proxy", 3128)),
        ("DB1", "db1", None),
    ],
)
def test_which_hosts_need_no_proxy(
    host: str, no_proxy: str, expected: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_from_environment(host, 8086, ssl=False) == expected
    assert proxy_from_environment(host, 8086, ssl=True) is None


@pytest.mark.parametrize(
    "url",
    [
        *("https://me:Zk7@proxy", "socks5://me:Zk7@proxy:1", "http://"),
        *("http://me:Zk7/x@proxy:1", "http://me:Zk7#x@proxy:1", "http://[me:Zk7"),
    ],
)
def test_a_proxy_of_another_kind_is_not_spoken_to_in_the_clear(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", url)
    with pytest.raises(ConnectionFailed, match="not http://HOST:PORT") as error:
        Session(ConnectionSettings("db.invalid", 8086)).ping()
    assert "Zk7" not in str(error.value)


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:Zk7@127.0.0.1:1")
    with pytest.raises(ConnectionFailed) as error:
        Session(ConnectionSettings("db.invalid", 8086)).ping()
    assert "proxy 127.0.0.1:1" in error.value.cause and "Zk7" not in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"results":null}', b'{"results":5}', b"[" * 100_000, b"5", b"[]"),
        *(b'{"results":[{"series":[{"name":"m"}]}]}', b'{"results":[{"series":5}]}'),
        b'{"results":[{"series":[{"columns":["a"],"values":[5]}]}]}',
    ],
)
def test_an_odd_answer_is_no_traceback(body: bytes) -> None:
    canned = Canned(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    try:
        error = Session(ConnectionSettings("127.0.0.1", canned.port)).query("SHOW USERS").error
        assert error == ("" if b"null" in body else "received status code 200 from server")
    finally:
        canned.close()
