"""The HTTP client for small documents: complete answers only, within its limits."""

import asyncio
import socket
import ssl

import pytest
import trustme

from headgate_server.upstream.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from headgate_server.upstream.http_client import HTTPClient, HTTPResponse, split_url
from support.key_server import KeyServer, Said
from support.raw_upstream import raw_upstream
from support.waiting import free_port


def get(url: str, headers: dict[str, str] | None = None, **limits: float) -> HTTPResponse:
    async def run() -> HTTPResponse:
        client = HTTPClient(2.0, limits.get("total", 5.0), int(limits.get("most", 1000)))
        try:
            return await client.get(url, headers or {})
        finally:
            client.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "address", "target"),
    [
        ("https://idp/keys", "https://idp", "/keys"),
        ("https://idp", "https://idp", "/"),
        ("https://IDP:8443?a=b/c?d", "https://idp:8443", "/?a=b/c?d"),
        ("http://[::1]:80/x", "http://[::1]:80", "/x"),
        ("https://b\u00fccher.example/sch\u00f6n%20?q=\u00fc#f", "https://xn--bcher-kva.example",
         "/sch%C3%B6n%20?q=%C3%BC"),
        ("https://idp/a b\x7f", "https://idp", "/a%20b%7F"),
    ],
)  # fmt: skip
def test_a_url_is_sent_in_ascii(url: str, address: str, target: str) -> None:
    assert split_url(url) == (address, target)


def test_the_request_names_its_client_and_the_callers_fields() -> None:
    with KeyServer([Said(201, b"{}", {"A": "1", "a": "2"})]) as server:
        answer = get(server.url, {"Authorization": "Bearer x"})
    assert (answer.status, answer.body, answer.header("a")) == (201, b"{}", "1,2")
    (asked,) = server.asked
    assert asked["authorization"] == "Bearer x" and asked["user-agent"] == "headgate"
    assert asked["host"] == server.url.removeprefix("http://").partition("/")[0]


def test_a_redirect_is_an_answer() -> None:
    with KeyServer([Said(302, b"", {"Location": "http://localhost:1/"})]) as server:
        assert get(server.url).status == 302


@pytest.mark.parametrize(
    ("said", "error", "reason"),
    [
        (Said(200, b"x" * 1001), UpstreamProtocolError, "an answer of more than 1000 bytes"),
        (
            Said(200, b"x", {"Content-Encoding": "gzip"}),
            UpstreamProtocolError,
            "its answer is compressed, which was not requested",
        ),
        (Said(200, b"x", seconds=1), UpstreamTimeout, "no complete answer within 0.2 s"),
    ],
)
def test_a_limit_is_an_error_that_names_it(
    said: Said, error: type[UpstreamError], reason: str
) -> None:
    with KeyServer([said]) as server, pytest.raises(error) as raised:
        get(server.url, total=0.2 if said.seconds else 5.0)
    assert raised.value.reason == reason


def test_a_trickle_ends_at_the_total_time() -> None:
    def trickle(line: socket.socket, request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        line.settimeout(0.05)
        for _ in range(100):
            line.sendall(b"x")
            try:
                if not line.recv(1):
                    return
            except TimeoutError:
                continue

    with raw_upstream(trickle) as store, pytest.raises(UpstreamTimeout):
        get(store.url, total=0.3)


def test_an_address_without_a_server_is_named_by_its_reason() -> None:
    with pytest.raises(UpstreamUnreachable) as raised:
        get(f"http://127.0.0.1:{free_port()}/?secret=Zk7")
    assert raised.value.reason == "Connection refused"


@pytest.mark.slow
def test_an_untrusted_certificate_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with KeyServer([Said(200, b"{}")], context) as server:
        with pytest.raises(UpstreamUnreachable, match="cannot be reached") as raised:
            get(server.url)
        assert server.asked == []
    assert "certificate" in raised.value.reason
