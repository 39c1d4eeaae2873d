"""Sends random requests to a real server, and reports each 500, traceback and hang.

    python tests/fuzz_http.py [N [SEED]]      20,000 requests and seed 1 by default

Prints the requests concerned. The exit status is then 1.
"""

import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from support.random_requests import Requests
from support.server_process import ServerProcess
from support.servers import Server

CLIENTS = 4
PATIENCE = 20.0  # seconds; more is a hang
STATUS = re.compile(rb"(?:\A|\n|})HTTP/1\.[01] ([0-9]{3})")


class Client(threading.Thread):
    """Sends a part of the requests, one per connection, and counts the statuses."""

    def __init__(self, port: int, count: int, seed: int) -> None:
        super().__init__()
        self.answers: Counter[str] = Counter()
        self.faults: list[tuple[str, bytes]] = []
        self.longest = 0.0
        self._port = port
        self._count = count
        self._requests = Requests(seed)

    def run(self) -> None:
        for _ in range(self._count):
            request = self._requests.one()
            started = time.monotonic()
            try:
                answer = self._answer(request)
            except TimeoutError:
                self.faults.append(("hangs", request))
                continue
            self.longest = max(self.longest, time.monotonic() - started)
            statuses = [status.decode() for status in STATUS.findall(answer)]
            self.answers.update(statuses or ["none"])
            if "500" in statuses:
                self.faults.append(("500", request))

    def _answer(self, request: bytes) -> bytes:
        received = b""
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    received += piece
            except (ConnectionResetError, BrokenPipeError):
                self.answers["reset"] += 1
        return received


def fuzz(server: Server, count: int, seed: int) -> list[str]:
    """Sends *count* requests. Returns one line per fault."""
    clients = [Client(server.port, count // CLIENTS, seed * CLIENTS + n) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    answers = sum((client.answers for client in clients), Counter[str]())
    print(f"{count} requests, seed {seed}: {dict(sorted(answers.items()))}")
    print(f"longest {max(client.longest for client in clients):.2f} s")
    faults = [f"{kind}: {request!r}" for client in clients for kind, request in client.faults]
    log = server.log()
    faults += [line for line in log.splitlines() if "unexpected" in line or "Traceback" in line]
    if server.query("SHOW USERS").status != 200:
        faults.append("root cannot log in any more")
    if server.stop() != 0:
        faults.append("it did not end well")
    return faults


def begun(folder: Path) -> Server:
    """Starts a server without login delays and without a log of requests."""
    environment = {
        "HEADGATE_AUTH_LONGEST_DELAY": "0s",
        "HEADGATE_HTTP_LOG_ENABLED": "false",
        "HEADGATE_HTTP_SHARED_SECRET": "a secret of some length, for tokens",
    }
    server = ServerProcess(folder / "users.db", environment=environment, fresh=False).start()
    return server.bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'")


def main() -> None:
    count, seed = (int(word) for word in (*sys.argv[1:], *("20000", "1")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        faults = fuzz(begun(Path(folder)), count, seed)
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
