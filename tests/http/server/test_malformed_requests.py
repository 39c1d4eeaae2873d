"""Ambiguous and malformed HTTP requests: the response is 400 or 401, never a fault."""

from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest

from headgate_server.serving.process_title import redact_arguments
from support.local_server import LocalServer
from support.raw_connections import conversation, status
from support.servers import ROOT, Server

LOGIN = b"Authorization: Basic " + b64encode(b"root:Toor-1") + b"\r\n"
QUERY = b"GET /query?q=SHOW+USERS HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Returns a gateway whose upstream store accepts no connection."""
    flags = ("--upstream", "http://127.0.0.1:1", "--protocol", "loki")
    server = LocalServer(tmp_path_factory.mktemp("gateway") / "s.db", flags).start().bootstrap()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = LocalServer(tmp_path_factory.mktemp("hostile") / "s.db").start().bootstrap()
    yield server
    server.stop()


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\nContent-Length: 5\r\n",
        b" folded: line\r\n",
        b"A: b\r\n folded\r\n",
        b"A\0: b\r\n",
        b"A: b\0\r\n",
        b": no name\r\n",
        b"A b: c\r\n",
    ],
)
def test_what_two_readers_may_read_in_two_ways_is_refused(server: Server, lines: bytes) -> None:
    head = b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\n" + lines
    answer = conversation(server, head + b"\r\nabcde" + QUERY + b"\r\n")
    assert status(answer) == 400 and answer.count(b"HTTP/1.1") == 1
    assert b"root" not in answer


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b"\r\nc\r\nq=SHOW+USERS\r\n0\r\n\r\n"
POST = b"POST /query?u=root&p=Toor-1 HTTP/1.%d\r\n"
GET = b"GET /query?q=SHOW+USERS&u=root&p=Toor-1"
SOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (POST % 1 + HOST + FORM + CHUNKED + BODY, 200),
        (POST % 1 + HOST + FORM + b"Transfer-Encoding: \tChunked \r\n" + BODY, 200),
        (POST % 1 + HOST + FORM + b"Transfer-Encoding: gzip, chunked\r\n" + BODY, 501),
        (POST % 1 + HOST + FORM + b"Transfer-Encoding: x, chunked\r\n" + BODY, 501),
        (POST % 1 + HOST + FORM + b"Transfer-Encoding: chunked, chunked\r\n" + BODY, 400),
        (POST % 1 + HOST + FORM + b"Transfer-Encoding: gzip\r\n" + CHUNKED + BODY, 400),
        (POST % 1 + HOST + FORM + CHUNKED + CHUNKED + BODY, 400),
        (POST % 0 + HOST + FORM + CHUNKED + BODY, 400),
        (POST % 0 + FORM + b"Transfer-Encoding: gzip, chunked\r\n" + BODY, 400),
        (GET + b" HTTP/1.1\r\n" + HOST + b"\r\n", 200),
        (GET + b" HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (GET + b" HTTP/1.1\r\nHost: [::1]:8086\r\n\r\n", 200),
        (GET + b" HTTP/1.1\r\nHost: head_gate.example:8086\r\n\r\n", 200),
        (GET + b" HTTP/1.0\r\n\r\n", 200),
        (GET + b" HTTP/1.1\r\n\r\n", 400),
        (GET + b" HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (GET + b" HTTP/1.1\r\n" + HOST + b"HOST: y\r\n\r\n", 400),
        (GET + b" HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
        (GET + b" HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
        (GET + b" HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
        (GET + b" HTTP/1.1\r\nHost: u@x\r\n\r\n", 400),
        (GET + b" HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
        (GET + b" HTTP/1.1\r\nHost: \xa0x\r\n\r\n", 400),
        (GET + b"\r\n\r\n", 400),
        (GET + b" HTTP/0.9\r\n\r\n", 400),
        (GET + b" HTTP/1.2\r\n" + HOST + b"\r\n", 400),
        (GET + b" HTTP/2.0\r\n" + HOST + b"\r\n", 400),
        (GET + b" HTTP/1.1\r\n" + SOCKET + b"\r\n", 400),
        (GET + b" HTTP/1.1\r\n" + SOCKET + HOST + HOST + b"\r\n", 400),
        (GET + b" HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("behind", ["server", "gateway"])
def test_faulty_framing_is_refused_on_every_way(
    request: pytest.FixtureRequest, behind: str, request_: bytes, expected: int, ahead: int
) -> None:
    server: Server = request.getfixturevalue(behind)
    before = GET + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    after = GET + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = conversation(server, before * ahead + request_ + after)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    one_more = [200] if expected == 200 and b"HTTP/1.0" not in request_ else []
    assert statuses == [200] * ahead + [expected] + one_more


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Accept": "text/csv\u00a0"}, "application/json"),
        ({"Accept": "\u0085text/csv"}, "application/json"),
        ({"Accept": " text/csv\t;\tq=1 "}, "text/csv"),
        ({"Accept": "text/csv;q=\u00a00.5, application/json;q=0.1"}, "application/json"),
        ({"Accept": "text/csv;q=0_5, application/json;q=0.1"}, "application/json"),
        ({"Accept": "text/csv;q=0.5, application/json;q=0.1"}, "text/csv"),
    ],
)
def test_white_space_of_http_is_blank_and_tab(
    server: Server, headers: dict[str, str], expected: str
) -> None:
    raw = [(name, value.encode("latin-1").decode("latin-1")) for name, value in headers.items()]
    lines = "".join(f"{name}: {value}\r\n" for name, value in raw).encode("latin-1")
    answer = conversation(server, QUERY + LOGIN + lines + b"\r\n")
    assert f"content-type: {expected}".encode() in answer, answer


@pytest.mark.parametrize("odd", [b"\xa0", b"\x85", b"\xc2\xa0"])
def test_a_media_type_with_other_white_space_is_another(server: Server, odd: bytes) -> None:
    kind = b"Content-Type: application/x-www-form-urlencoded%s\r\nConnection: close\r\n"
    body = b"Content-Length: 12\r\n\r\nq=SHOW+USERS"
    for blank, expected in ((b" \t", 200), (b"\t;charset=x", 200), (odd, 400)):
        head = POST % 1 + HOST + kind % blank
        assert status(conversation(server, head + body)) == expected


@pytest.mark.parametrize("odd", [b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\x0b", b"\x0c"])
def test_control_characters_in_a_header_are_refused(server: Server, odd: bytes) -> None:
    for line in (b"Accept: text/csv" + odd, b"Content-Type: x" + odd, b"Authorization: " + odd):
        assert status(conversation(server, QUERY + LOGIN + line + b"\r\n\r\n")) == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%C2%A0%C2%85%E3%80%80%0B%0C%20SHOW%20USERS%E2%80%A8", 200),
        ("%1CSHOW%20USERS", 400),
        ("SHOW%20USERS%1F", 400),
        ("%1D", 400),
    ],
)
def test_the_ends_of_a_query_are_trimmed_as_go_trims(
    server: Server, text: str, expected: int
) -> None:
    assert server.request("GET", f"/query?q={text}", basic=ROOT).status == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LOGIN, 200),
        (LOGIN + LOGIN, 400),
        (LOGIN + b"Authorization: Basic eDp5\r\n", 400),
        (b"Authorization: Basic eDp5\r\n" + LOGIN, 401),
        (LOGIN + b"authorization: \r\n", 400),
        (b"Authorization: Basic\x01eDp5\r\n", 400),
        (b"Authorization: Basic \x7f\r\n", 400),
        (b"Authorization: Basic \xff\xfe\r\n", 401),
        (b"Authorization: Basic " + b64encode(b"\xff:\xfe") + b"\r\n", 401),
        (b"Authorization: Basic " + b64encode(b"root:Toor-1\0") + b"\r\n", 401),
        (b"Authorization: Token \xff\xfe:\xff\r\n", 401),
        (b"Authorization: Bearer " + b"." * 100_000 + b"\r\n", 401),
        (b"Authorization: Bearer e30." + b"W" * 20_000 + b".\r\n", 401),
        (b"Authorization: Bearer " + b64encode(b"[" * 9000) + b".e30.x\r\n", 401),
    ],
)
def test_odd_credentials_are_400_or_401(server: Server, lines: bytes, expected: int) -> None:
    answer = conversation(server, QUERY + lines + b"\r\n")
    assert status(answer) == expected or (expected == 401 and status(answer) == 400)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=SHOW%20USERS&" + "a=1&" * 990, ""),
        ("q=SHOW%20USERS&" + "a=1&" * 1001, "too many parameters: at most 1000"),
        ("q=%ff%fe", "found \ufffd"),
        ("q=SHOW%00USERS", "found \0"),
        ("q=SHOW%20USERS%zz", 'missing required parameter "q"'),
        ("q=SELECT%20$a%20FROM%20m&params=" + "[" * 5000, "exceeded max depth"),
        ("q=SHOW%20USERS&params=%7B%22a%22:%22%ff%22%7D", ""),
    ],
)
def test_odd_parameters_are_read_or_400(server: Server, query: str, expected: str) -> None:
    answer = server.request("GET", f"/query?{query}", basic=ROOT)
    assert answer.status == (400 if expected else 200), answer.body
    assert expected in answer.error


def test_a_query_has_bounds(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_MAX_STATEMENTS="3", HEADGATE_HTTP_MAX_STATEMENT_LENGTH="60")
    server.bootstrap()
    assert server.query("SHOW USERS; SHOW USERS;; SHOW USERS").error.startswith(
        "error parsing query: more than 3 statements at line 1, char "
    )
    long = server.query(f"SHOW GRANTS FOR {'x' * 60}")
    assert (long.status, long.error) == (
        400,
        "error parsing query: statement longer than 60 characters at line 1, char 17",
    )


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--realm", "x"], ["--realm", "x"]),
        (["--shared-secret", "x", "--workers", "2"], None),
        (["--shared-secret=x"], ["--shared-secret=[REDACTED]"]),
        (["--shared-secret"], ["--shared-secret"]),
    ],
)
def test_arguments_are_shown_without_secrets(arguments: list[str], shown: list[str] | None) -> None:
    expected = shown or ["--shared-secret", "[REDACTED]", "--workers", "2"]
    assert redact_arguments(arguments) == expected
