"""The connection limit: idle connections make room, and requests in progress are completed."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.serving.idle_connections import IdleConnections
from support.raw_connections import connected, conversation, heard, read_until, status
from support.servers import Server
from support.waiting import poll_until

PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
LOGIN = (
    b"POST /query?u=root&p=Toor-1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\n"
)
BODY = b"q=SHOW+USERS"
REFUSED = b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


class Connection:
    """A connection that records its eviction. If *slow*, its place is not free at once."""

    def __init__(self, slow: bool = False) -> None:
        self.slow, self.evicted = slow, 0
        self.idle_since: float | None = None

    def evict(self) -> bool:
        self.evicted += 1
        self.idle_since = None
        return not self.slow


@given(st.lists(st.tuples(st.sampled_from(["idle", "in use", "make_room"]), st.integers(0, 5))))
def test_the_least_recently_active_connection_makes_room(steps: list[tuple[str, int]]) -> None:
    idle, connections = IdleConnections(), [Connection(slow=i % 3 == 0) for i in range(6)]
    order: list[int] = []
    for moment, (step, number) in enumerate(steps):
        before = [one.evicted for one in connections]
        if step == "make_room":
            fast = next((i for i, one in enumerate(order) if not connections[one].slow), None)
            tried = order if fast is None else order[: fast + 1]
            assert idle.free_place(connections) == (fast is not None)
            expected = [count + (i in tried) for i, count in enumerate(before)]
            assert [one.evicted for one in connections] == expected
            order = order[len(tried) :]
            continue
        order = [one for one in order if one != number]
        connections[number].idle_since = moment if step == "idle" else None
        if step == "idle":
            order.append(number)


class Counted(list[Connection]):
    """A list of connections that counts its iterations."""

    looks = 0

    def __iter__(self) -> Iterator[Connection]:
        self.looks += 1
        return super().__iter__()


def test_new_connections_cause_few_looks_at_all_that_are_in_use() -> None:
    idle, connections = IdleConnections(), Counted(Connection() for _ in range(4096))
    assert not any(idle.free_place(connections) for _ in range(1000))
    assert connections.looks <= 1000 * 64 / 4096 + 1
    connections[7].idle_since = 1.0
    assert sum(idle.free_place(connections) for _ in range(64)) == 1
    assert connections[7].evicted == 1


def refused_connections(server: Server) -> float:
    name = "headgate_http_connections_refused_total "
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (PING[:10], b""),
        (PING[:-2], b""),
        (PING, b"204 No Content"),
        (PING + PING[:10], b"204 No Content"),
        (LOGIN.replace(b"Connection: close\r\n", b"") + BODY, b'"user"'),
        (REFUSED, b"unable to parse authentication credentials"),
    ],
)
def test_a_user_is_served_however_many_idle_connections_there_are(
    serve: Callable[..., Server], sent: bytes, answer: bytes
) -> None:
    server = serve(HEADGATE_HTTP_MAX_CONNECTION_LIMIT="3").bootstrap()
    with ExitStack() as stack:
        lines = []
        for _ in range(8):
            lines.append(stack.enter_context(closing(connected(server))))
            lines[-1].sendall(sent)
            if answer:
                read_until(lines[-1], answer)
        assert status(conversation(server, LOGIN + BODY)) == 200
        for line in lines[:6]:
            assert heard(line) == b""
        assert refused_connections(server) >= 6
        # The most recently active connection is still open.
        lines[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            lines[-1].recv(1)


def next_millisecond() -> None:
    """Waits for 2 ms, so that the time of last activity (in milliseconds) differs."""
    until = time.monotonic() + 0.002
    while time.monotonic() < until:
        pass


def test_the_connection_that_was_active_last_stays(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_MAX_CONNECTION_LIMIT="3")
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(connected(server))) for _ in range(3)]
        for line in (*lines, lines[0]):
            line.sendall(PING)
            read_until(line, b"204 No Content")
            next_millisecond()
        new = stack.enter_context(closing(connected(server)))
        new.sendall(PING)
        read_until(new, b"204 No Content")
        assert heard(lines[1]) == b""
        for line in (lines[0], lines[2]):
            line.sendall(PING)
            read_until(line, b"204 No Content")


def test_a_request_in_progress_is_completed_and_the_new_connection_closed(
    serve: Callable[..., Server],
) -> None:
    server = serve(HEADGATE_HTTP_MAX_CONNECTION_LIMIT="3").bootstrap()
    with ExitStack() as stack:
        busy = []
        for _ in range(3):
            line = stack.enter_context(closing(connected(server)))
            line.sendall(
                LOGIN.replace(b"Length: 12\r\n", b"Length: 12\r\nExpect: 100-continue\r\n")
            )
            read_until(line, b"100 Continue")  # the request is in progress
            busy.append(line)
        for _ in range(5):
            assert conversation(server, PING) == b""
        for line in busy:
            line.sendall(BODY)
            assert b'"user"' in heard(line)
    poll_until(lambda: conversation(server, LOGIN + BODY) != b"", "there is room again")
    assert refused_connections(server) >= 5


@pytest.mark.slow
def test_an_answer_that_is_not_received_yet_is_not_cut(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_MAX_CONNECTION_LIMIT="2").bootstrap()
    names = "; ".join(f"CREATE DATABASE d{i:03}_{'x' * 200}" for i in range(200))
    assert server.query(names).status == 200
    query = b"GET /query?u=root&p=Toor-1&q=" + b"%3B".join([b"SHOW+DATABASES"] * 100)
    with closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(query + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(1) == b"H"
        for _ in range(6):
            assert status(conversation(server, LOGIN + BODY)) == 200
        answer = b"H"
        while not answer.endswith(b"]}]}\n"):
            part = slow.recv(65536)
            assert part, "the answer is cut"
            answer += part
        assert answer.count(b'"statement_id"') == 100


@pytest.mark.slow
@pytest.mark.parametrize("place", ["tls", "unix"])
def test_idle_connections_make_room_over_tls_and_on_the_unix_socket(
    serve: Callable[..., Server], tmp_path: Path, place: str
) -> None:
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    certificate, path = tmp_path / "server.pem", tmp_path / "headgate.sock"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    environment = {
        "tls": {
            "HEADGATE_HTTP_HTTPS_ENABLED": "true",
            "HEADGATE_HTTP_HTTPS_CERTIFICATE": str(certificate),
        },
        "unix": {
            "HEADGATE_HTTP_UNIX_SOCKET_ENABLED": "true",
            "HEADGATE_HTTP_BIND_SOCKET": str(path),
        },
    }[place]
    server = serve(HEADGATE_HTTP_MAX_CONNECTION_LIMIT="2", **environment)

    def connect() -> socket.socket:
        if place == "unix":
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(20)
            line.connect(str(path))
            return line
        return context.wrap_socket(connected(server), server_hostname="127.0.0.1")

    with ExitStack() as stack:
        lines = []
        for _ in range(5):
            lines.append(stack.enter_context(closing(connect())))
            lines[-1].sendall(PING)
            read_until(lines[-1], b"204 No Content")
        if place == "unix":  # clients of the other listener share the limit
            lines.append(stack.enter_context(closing(connected(server))))
            lines[-1].sendall(PING)
            read_until(lines[-1], b"204 No Content")
        for line in lines[:3]:
            assert heard(line) == b""
        for line in lines[-2:]:
            line.sendall(PING)
            read_until(line, b"204 No Content")
        assert server.stop() == 0
