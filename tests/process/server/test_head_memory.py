"""Memory of a server process while clients send unfinished request heads."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from support.raw_connections import connected, conversation, heard, status
from support.server_process import ServerProcess

PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


def resident(server: ServerProcess) -> int:
    """Returns the memory of the server's process in bytes."""
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def test_unfinished_heads_share_one_budget_of_memory(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process().bootstrap()
    before = resident(server)
    fields = b"".join(b"X-%d: " % number + b"y" * 8000 + b"\r\n" for number in range(30))
    with ExitStack() as stack:
        lines = []
        for _ in range(400):
            line = stack.enter_context(closing(connected(server)))
            line.sendall(PING[:-2] + fields)
            lines.append(line)
        refused = heard(lines[0])  # the oldest unfinished head is dropped
        assert status(refused) == 408
        # 400 of them would be 96 MB.
        assert resident(server) - before < 50_000_000
        # A long head that is sent at once is accepted despite the others.
        assert status(conversation(server, QUERY_CLOSED + fields + b"\r\n")) == 200
        lines[-1].sendall(b"Connection: close\r\n\r\n")
        assert status(heard(lines[-1])) == 204


QUERY_CLOSED = (
    b"GET /query?u=root&p=Toor-1&q=SHOW+USERS HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
)
