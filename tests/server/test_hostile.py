"""Requests made to be taken for something else: 400 or 401, and never the better of the server."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import ROOT, Server
from headgate_server.title import without_secrets
from raw import conversation, status

LOGIN = b"Authorization: Basic " + b64encode(b"root:Toor-1") + b"\r\n"
QUERY = b"GET /query?q=SHOW+USERS HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("hostile") / "s.db").start().bootstrap()
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


def test_no_secret_is_in_the_list_of_processes(serve: Callable[..., Server]) -> None:
    server = serve("--shared-secret", "not-for-everybody-to-see", "--workers", "2")
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    for pid in (server.process.pid, *map(int, children.split())):
        shown = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"not-for-everybody" not in shown
    assert (
        b"--shared-secret '[REDACTED]'" in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    )


def test_no_core_of_its_memory_is_left(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.process is not None
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if "core file size" in line)
    assert line.split()[4:6] == ["0", "0"]


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
    assert without_secrets(arguments) == expected
